// The thumbnail of the network's input by which --smooth tells a scene cut (rtparse/smoothing.py), averaged by area.
//
// Built with -DRTPARSE_T=half, bfloat16 or float, the input's type. Entry thumbnail_{T}, arguments:
//   const T* input (channels, height, width), channels, height, width, side, float* output (channels, side, side)
// Thread x is one value of the output. Grid and block: launch.py.
#include "area.cuh"

namespace rtparse {

typedef RTPARSE_T T;

RTPARSE_KERNEL RTPARSE_PASTE(thumbnail_, RTPARSE_T)(const T* __restrict__ input, int channels, int height, int width,
                                                    int side, float* __restrict__ output) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x, channel = index / (side * side);
    if (channel >= channels) return;
    const Span down(index / side % side, height, side), across(index % side, width, side);
    float sum = 0.0f;
    for (int i = down.begin; i < down.end; ++i) {
        const T* from = input + static_cast<long long>(channel * height + i) * width;
        float row = 0.0f;
        for (int j = across.begin; j < across.end; ++j) row += across.weight(j) * to_float(read(from + j));
        sum += down.weight(i) * row;
    }
    output[index] = sum;
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(thumbnail_, RTPARSE_T)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
