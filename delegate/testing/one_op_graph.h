// A graph of one float op beside a quantization, and the delegate that it is given to.
#ifndef SPARSEBNN_TESTING_ONE_OP_GRAPH_H_
#define SPARSEBNN_TESTING_ONE_OP_GRAPH_H_

#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#include "expect.h"
#include "fake_runtime.h"
#include "sparsebnn_delegate.h"

namespace sparsebnn {

// Input -> an op with `Params` -> LceQuantize; both outputs are the graph's. A test changes what it
// likes before the delegate sees it.
template <typename Params>
struct OneOpGraph {
  OneOpGraph(int op, const char* name, const Params& params)
      : op(op), name(name), params(params) {}
  TfLiteTensor* tensor(int index) { return runtime.tensor(index); }
  std::vector<uint8_t> Options() const {
    if (!has_params) return {};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&params);
    return std::vector<uint8_t>(bytes, bytes + sizeof params);
  }
  void AddOp() { runtime.AddBuiltin(op, inputs, outputs, Options()); }
  // What its nodes read and write.
  std::vector<std::vector<int>*> Lists() { return {&inputs, &outputs}; }

  FakeRuntime runtime;
  const int op;            // its number among the built-in ones
  const char* const name;  // in the delegate's profile
  Params params;
  int input = 0, output = 0, signs = 0;
  std::vector<int> inputs, outputs;  // of the op
  std::vector<int> seen;             // other outputs of the graph
  bool has_params = true, has_binary = true;
  const char* options[2] = {"isa", "auto"};
};

// A graph and its delegate, for as long as somebody looks.
template <typename Graph>
class Applied {
 public:
  explicit Applied(Graph* graph) : graph_(graph) {
    FakeRuntime& runtime = graph->runtime;
    char* key = const_cast<char*>(graph->options[0]);
    char* value = const_cast<char*>(graph->options[1]);
    delegate_ = tflite_plugin_create_delegate(&key, &value, 1, nullptr);
    graph->AddOp();
    if (graph->has_binary) runtime.AddNode("LceQuantize", {graph->output}, {graph->signs}, {});
    std::vector<int> outputs = {graph->output, graph->signs};
    outputs.insert(outputs.end(), graph->seen.begin(), graph->seen.end());
    applied_ = runtime.ApplyDelegate(delegate_, {graph->input}, outputs);
  }
  ~Applied() {
    graph_->runtime.FreePartition();
    sparsebnn_delegate_destroy(delegate_);
  }

  bool Prepare() { return applied_ && graph_->runtime.AllocateTensors(); }
  bool Run() { return Prepare() && graph_->runtime.Invoke(); }
  // Whether the delegate has taken the op.
  bool Claims() {
    Prepare();
    return std::strstr(sparsebnn_delegate_profile_json(delegate_), graph_->name) != nullptr;
  }

 private:
  Graph* const graph_;
  ::TfLiteDelegate* delegate_;
  bool applied_;
};

// Whether the delegate takes the op of a graph that `change` has changed.
template <typename Graph>
bool Claims(const std::function<void(Graph*)>& change) {
  Graph graph;
  change(&graph);
  return Applied<Graph>(&graph).Claims();
}

// Any index, and any number of them, in what a node reads or writes: the graph runs or is refused.
template <typename Graph>
void DamagedGraphsRunOrAreRefused() {
  int graphs = 0, refused = 0;
  const auto run = [&](Graph* graph) {
    ++graphs;
    refused += !Applied<Graph>(graph).Run();
  };
  for (size_t list = 0; list < Graph().Lists().size(); ++list) {
    for (size_t i = 0; i < Graph().Lists()[list]->size(); ++i) {
      for (const int index : {INT_MIN, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 20, INT_MAX}) {
        Graph graph;
        (*graph.Lists()[list])[i] = index;
        run(&graph);
      }
    }
    for (size_t count = 0; count < 5; ++count) {
      Graph graph;
      graph.Lists()[list]->resize(count, 1);
      run(&graph);
    }
  }
  std::printf("%d of %d damaged graphs refused\n", refused, graphs);
  EXPECT(refused > 0);
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_ONE_OP_GRAPH_H_
