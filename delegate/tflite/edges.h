// The nodes of a graph by what they write and read.
#ifndef SPARSEBNN_TFLITE_EDGES_H_
#define SPARSEBNN_TFLITE_EDGES_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "tflite_abi.h"

namespace sparsebnn {

class Edges {
 public:
  // Of these nodes; of others it knows nothing.
  Edges(TfLiteContext* context, const std::vector<int>& nodes);

  // Nulls for an index that no node has.
  std::pair<const TfLiteNode*, const TfLiteRegistration*> Get(int index) const;

  // Whether the node is that op of TFLite's own, with that many inputs and one output.
  bool Is(int index, int32_t code, int inputs) const;

  // Of such a node.
  int Output(int index) const { return Get(index).first->outputs->data[0]; }

  // The only writer of a tensor that has one reader, and its only reader; -1 if it is otherwise.
  int Writer(int tensor) const { return Find(tensor).writer; }
  int Reader(int tensor) const { return Find(tensor).reader; }

 private:
  struct Ends {
    int writers = 0, readers = 0;
    int writer = -1, reader = -1;
  };

  Ends Find(int tensor) const;

  TfLiteContext* const context_;
  std::map<int, Ends> ends_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_EDGES_H_
