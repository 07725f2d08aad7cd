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
  std::lock_guard<std::mutex> lock(mutex_);
  // A context that is gone has left a pointer to nothing, and may have left its address too.
  resources_.erase(std::remove_if(resources_.begin(), resources_.end(),
                                  [](const auto& entry) { return entry.second.expired(); }),
                   resources_.end());
  for (const auto& entry : resources_) {
    if (entry.first != context) continue;
    if (auto resources = entry.second.lock()) return resources;
  }
  auto resources = std::make_shared<ExecutionResources>();
  resources_.emplace_back(context, resources);
  return resources;
}

void DelegateState::AddProfile(const PartitionProfile* profile) {
  std::lock_guard<std::mutex> lock(mutex_);
  profiles_.push_back(profile);
}

void DelegateState::RemoveProfile(const PartitionProfile* profile) {
  std::lock_guard<std::mutex> lock(mutex_);
  profiles_.erase(std::remove(profiles_.begin(), profiles_.end(), profile), profiles_.end());
}

const char* DelegateState::ProfileJson() {
  std::lock_guard<std::mutex> lock(mutex_);
  json_ =
      "{\"version\": \"" SPARSEBNN_VERSION "\", \"isa\": " + JsonString(IsaName(options_.isa)) +
      ", \"partitions\": [";
  for (size_t i = 0; i < profiles_.size(); ++i) {
    json_ += (i > 0 ? ", " : "") + PartitionJson(*profiles_[i]);
  }
  json_ += "]}";
  return json_.c_str();
}

}  // namespace sparsebnn
