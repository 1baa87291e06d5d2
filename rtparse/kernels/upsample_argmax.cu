// Logits on the network's grid to one label per pixel of the frame, the letterbox undone: rtparse/postprocess.py without
// its tiles. Each class is interpolated and compared in registers; nothing of the frame's size is stored but the labels.
//
// Built with -DRTPARSE_T=half, bfloat16 or float, the logits' type. Entry upsample_argmax_{T}, arguments:
//   const T* logits (classes, height, width) contiguous, classes, height, width, frame height, frame width,
//   scale_y, offset_y, scale_x, offset_x: frame pixel i reads the grid at scale * (i + 0.5) + offset - 0.5,
//   uint8* labels, pitch of the labels in bytes
// Thread x is a run of 4 pixels of one row. Grid and block: launch.py.
#include "bilinear.cuh"

namespace rtparse {

typedef RTPARSE_T T;

constexpr int RUN = 4;

RTPARSE_KERNEL RTPARSE_PASTE(upsample_argmax_, RTPARSE_T)(const T* __restrict__ logits, int classes, int height,
                                                          int width, int frame_height, int frame_width, float scale_y,
                                                          float offset_y, float scale_x, float offset_x,
                                                          uint8* __restrict__ labels, int pitch) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, runs = (frame_width + RUN - 1) / RUN;
    const int y = index / runs, x = index % runs * RUN;
    if (y >= frame_height) return;
    const Taps rows = taps(y, scale_y, offset_y, height);
    Taps columns[RUN];
    float best[RUN] = {};
    uint8 label[RUN];
#pragma unroll
    for (int i = 0; i < RUN; ++i) {
        columns[i] = taps(x + i, scale_x, offset_x, width);
        label[i] = 0;
    }
    for (int k = 0; k < classes; ++k) {
        const T* plane = logits + static_cast<long long>(k) * height * width;
        RowPair<T> pair(plane + rows.first * width, plane + rows.second * width);
#pragma unroll
        for (int i = 0; i < RUN; ++i) {
            const float value = pair.at(columns[i], rows.weight);
            if (k == 0 || value > best[i]) {  // of equals the lowest class wins
                best[i] = value;
                label[i] = static_cast<uint8>(k);
            }
        }
    }
    uint8* to = labels + static_cast<long long>(y) * pitch + x;
    if (x + RUN <= frame_width && reinterpret_cast<unsigned long long>(to) % RUN == 0) {
        *reinterpret_cast<unsigned*>(to) =
            label[0] | label[1] << 8 | label[2] << 16 | static_cast<unsigned>(label[3]) << 24;
    } else {
#pragma unroll
        for (int i = 0; i < RUN; ++i)
            if (x + i < frame_width) to[i] = label[i];
    }
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(upsample_argmax_, RTPARSE_T)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
