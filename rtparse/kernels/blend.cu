// The overlay of rtparse/render.py: classes in their colours over the frame, the frame itself where none is shown.
//
// Entry blend, arguments:
//   const uint8* frame (BGR), its pitch, const uint8* labels, their pitch, const uint8* palette (256 x B, G, R, shown),
//   height, width, frame_weight, colour_weight, uint8* output (BGR; it may be the frame itself), its pitch
// Pitches are in bytes. Thread x is a run of 16 pixels of one row. Grid and block: launch.py.
#include "portable.cuh"

namespace rtparse {

constexpr int RUN = 16;

RTPARSE_DEVICE uint8 mixed(uint8 frame, uint8 colour, float frame_weight, float colour_weight) {
    return to_byte(static_cast<float>(frame) * frame_weight + static_cast<float>(colour) * colour_weight);
}

RTPARSE_DEVICE void draw(uint8* pixel, const uint8* colour, float frame_weight, float colour_weight) {
    if (!read(colour + 3)) return;
    for (int k = 0; k < 3; ++k) pixel[k] = mixed(pixel[k], read(colour + k), frame_weight, colour_weight);
}

// The output may be the frame: neither is __restrict__, nor read as data that no one writes.
RTPARSE_KERNEL blend(const uint8* frame, int frame_pitch, const uint8* __restrict__ labels, int labels_pitch,
                     const uint8* __restrict__ palette, int height, int width, float frame_weight, float colour_weight,
                     uint8* output, int output_pitch) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, runs = (width + RUN - 1) / RUN;
    const int y = index / runs, x = index % runs * RUN;
    if (y >= height) return;
    frame += static_cast<long long>(y) * frame_pitch + 3 * x;
    labels += static_cast<long long>(y) * labels_pitch + x;
    output += static_cast<long long>(y) * output_pitch + 3 * x;
    if (x + RUN <= width && aligned(frame) && aligned(labels) && aligned(output)) {
        const Pack<uint8, RUN> label = load<uint8, RUN>(labels);
        Pack<uint8, 3 * RUN> pixels;
#pragma unroll
        for (int i = 0; i < 3; ++i) pixels.word[i] = reinterpret_cast<const uint4*>(frame)[i];
#pragma unroll
        for (int i = 0; i < RUN; ++i) draw(pixels.at + 3 * i, palette + 4 * label.at[i], frame_weight, colour_weight);
        store<uint8, 3 * RUN>(output, pixels);
    } else {
        for (int i = 0; i < RUN && x + i < width; ++i) {
            uint8 pixel[] = {frame[3 * i], frame[3 * i + 1], frame[3 * i + 2]};
            draw(pixel, palette + 4 * labels[i], frame_weight, colour_weight);
            for (int k = 0; k < 3; ++k) output[3 * i + k] = pixel[k];
        }
    }
}

}  // namespace rtparse

using rtparse::blend;
RTPARSE_EXPORT(blend)
