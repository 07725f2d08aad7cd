#include "delegate_state.h"

#include <algorithm>

#include "kernels/base/decimal.h"

namespace sparsebnn {
namespace {

// Names come from the model and may hold any bytes.
std::string JsonString(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c >= ' ' && c <= '~' ? c : '?';
  }
  return json + "\"";
}

std::string NodeJson(const NodeProfile& node) {
  return "{\"node\": " + Decimal(node.node) + ", \"op\": " + JsonString(node.op) +
         ", \"input\": " + node.input.ToString() + ", \"output\": " + node.output.ToString() +
         ", \"kernel\": " + JsonString(node.kernel) + ", \"runs\": " + Decimal(node.runs) +
         ", \"ns\": " + Decimal(node.nanoseconds) + "}";
}

std::string PartitionJson(const PartitionProfile& partition) {
  std::string json = "{\"threads\": " + Decimal(partition.threads) +
                     ", \"arena_bytes\": " + Decimal(partition.arena_bytes) + ", \"nodes\": [";
  for (size_t i = 0; i < partition.nodes.size(); ++i) {
    json += (i > 0 ? ", " : "") + NodeJson(partition.nodes[i]);
  }
  return json + "]}";
}

}  // namespace

ThreadPool* ExecutionResources::Threads(int count) {
  if (threads_ == nullptr || asked_ != count) {
    threads_ = nullptr;
    threads_ = std::make_unique<ThreadPool>(count);
    asked_ = count;
  }
  return threads_.get();
}

ExecutionResources* DelegateState::Join(const TfLiteContext* context) {
  InProcess& shared = *shared_.get();
  MutexLock lock(&shared.mutex);
  ExecutionResources* resources = nullptr;
  for (ExecutionResources* known : shared.resources) {
    if (known->context_ == context) resources = known;
  }
  if (resources == nullptr) {
    resources = new ExecutionResources;
    resources->context_ = context;
    shared.resources.push_back(resources);
  }
  ++resources->partitions_;
  return resources;
}

void DelegateState::Leave(const void* partition, ExecutionResources* resources) {
  InProcess& shared = *shared_.get();
  MutexLock lock(&shared.mutex);
  auto& profiles = shared.profiles;
  profiles.erase(
      std::remove_if(profiles.begin(), profiles.end(),
                     [partition](const auto& entry) { return entry.first == partition; }),
      profiles.end());
  if (--resources->partitions_ > 0) return;
  // A forked child's copies are not in its list.
  auto& known = shared.resources;
  known.erase(std::remove(known.begin(), known.end(), resources), known.end());
  delete resources;
}

void DelegateState::SetProfile(const void* partition, PartitionProfile profile) {
  InProcess& shared = *shared_.get();
  MutexLock lock(&shared.mutex);
  for (auto& entry : shared.profiles) {
    if (entry.first != partition) continue;
    entry.second = std::move(profile);
    return;
  }
  shared.profiles.emplace_back(partition, std::move(profile));
}

const char* DelegateState::ProfileJson() {
  InProcess& shared = *shared_.get();
  MutexLock lock(&shared.mutex);
  std::string& json = shared.json;
  json =
      "{\"version\": \"" SPARSEBNN_VERSION "\", \"isa\": " + JsonString(IsaName(options_.isa)) +
      ", \"partitions\": [";
  for (size_t i = 0; i < shared.profiles.size(); ++i) {
    json += (i > 0 ? ", " : "") + PartitionJson(shared.profiles[i].second);
  }
  json += "]}";
  return json.c_str();
}

}  // namespace sparsebnn
