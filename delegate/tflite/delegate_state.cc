#include "delegate_state.h"

#include <algorithm>

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
  return "{\"node\": " + std::to_string(node.node) + ", \"op\": " + JsonString(node.op) +
         ", \"input\": " + node.input.ToString() + ", \"output\": " + node.output.ToString() +
         ", \"kernel\": " + JsonString(node.kernel) +
         ", \"runs\": " + std::to_string(node.runs) +
         ", \"ns\": " + std::to_string(node.nanoseconds) + "}";
}

std::string PartitionJson(const PartitionProfile& partition) {
  std::string json = "{\"threads\": " + std::to_string(partition.threads) +
                     ", \"arena_bytes\": " + std::to_string(partition.arena_bytes) +
                     ", \"nodes\": [";
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

std::shared_ptr<ExecutionResources> DelegateState::ResourcesFor(const TfLiteContext* context) {
  Shared& shared = *shared_.get();
  std::lock_guard<std::mutex> lock(shared.mutex);
  auto& known = shared.resources;
  // A context that is gone has left a pointer to nothing, and may have left its address too.
  known.erase(std::remove_if(known.begin(), known.end(),
                             [](const auto& entry) { return entry.second.expired(); }),
              known.end());
  for (const auto& entry : known) {
    if (entry.first != context) continue;
    if (auto resources = entry.second.lock()) return resources;
  }
  auto resources = std::make_shared<ExecutionResources>();
  known.emplace_back(context, resources);
  return resources;
}

void DelegateState::SetProfile(const void* partition, PartitionProfile profile) {
  Shared& shared = *shared_.get();
  std::lock_guard<std::mutex> lock(shared.mutex);
  for (auto& entry : shared.profiles) {
    if (entry.first != partition) continue;
    entry.second = std::move(profile);
    return;
  }
  shared.profiles.emplace_back(partition, std::move(profile));
}

void DelegateState::RemoveProfile(const void* partition) {
  Shared& shared = *shared_.get();
  std::lock_guard<std::mutex> lock(shared.mutex);
  auto& profiles = shared.profiles;
  profiles.erase(
      std::remove_if(profiles.begin(), profiles.end(),
                     [partition](const auto& entry) { return entry.first == partition; }),
      profiles.end());
}

const char* DelegateState::ProfileJson() {
  Shared& shared = *shared_.get();
  std::lock_guard<std::mutex> lock(shared.mutex);
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
