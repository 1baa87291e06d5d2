// What an encoder takes: a picture with its classes in their colours (rtparse/render.py) and its legend
// (rtparse/legend.py) over it, as NV12. Where nothing is drawn and the colours are those of the source, its samples come
// out as they were.
//
// Built with -DRTPARSE_SOURCE=bgr, nv12 or p016. Entry overlay_nv12_{SOURCE}, arguments: the source's (pictures.cuh),
//   height, width,
//   const uint8* labels (0: none are drawn), their pitch, const uint8* palette (256 x B, G, R, shown), frame_weight,
//   colour_weight,
//   const uint8* panel (panel height, panel width, 4) of B, G, R and whether it hides the picture, in the upper left
//   corner, panel height (0: there is none), panel width, shade: how much of the picture shows through elsewhere,
//   red, blue: weights of luma; black, gain: Y = black + gain * luma; u, v: U = 128 + u * (B - luma), so for V,
//   uint8* luma, its pitch, uint8* chroma, its pitch: of the size rounded up to even, the last line and column repeated
// Pitches are in bytes. Thread x is a square of 2x2 pixels. Grid and block: launch.py.
#include "pictures.cuh"

namespace rtparse {

RTPARSE_KERNEL RTPARSE_PASTE(overlay_nv12_, RTPARSE_SOURCE)(
    RTPARSE_PASTE(RTPARSE_ARGUMENTS_, RTPARSE_SOURCE), int height, int width, const uint8* __restrict__ labels,
    int labels_pitch, const uint8* __restrict__ palette, float frame_weight, float colour_weight,
    const uint8* __restrict__ panel, int panel_height, int panel_width, float shade, float red, float blue,
    float y_black, float y_gain, float u_gain, float v_gain, uint8* __restrict__ y_output, int y_pitch,
    uint8* __restrict__ uv_output, int uv_pitch) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    const int top = index / columns, left = index % columns;
    if (top >= rows) return;
    const RTPARSE_SOURCE picture = RTPARSE_PASTE(RTPARSE_PICTURE_, RTPARSE_SOURCE);
    float u = 0.0f, v = 0.0f;
    for (int i = 0; i < 4; ++i) {
        const int row = 2 * top + i / 2, column = 2 * left + i % 2;
        const int y = row < height ? row : height - 1, x = column < width ? column : width - 1;
        Bgr32 colour = picture.exact(y, x);
        if (labels) {
            const uint8* drawn = palette + 4 * read(labels + static_cast<long long>(y) * labels_pitch + x);
            if (read(drawn + 3))
                for (int k = 0; k < 3; ++k)
                    colour.at[k] = colour.at[k] * frame_weight + static_cast<float>(read(drawn + k)) * colour_weight;
        }
        if (y < panel_height && x < panel_width) {
            const uint8* over = panel + 4 * (y * panel_width + x);
            const bool hides = read(over + 3);
            for (int k = 0; k < 3; ++k) {
                const float shaded = colour.at[k] * shade, text = static_cast<float>(read(over + k));
                colour.at[k] = hides || shaded < text ? text : shaded;
            }
        }
        const float luma = red * colour.at[2] + (1.0f - red - blue) * colour.at[1] + blue * colour.at[0];
        y_output[static_cast<long long>(row) * y_pitch + column] = to_byte(y_black + y_gain * luma);
        u += u_gain * (colour.at[0] - luma);
        v += v_gain * (colour.at[2] - luma);
    }
    uint8* pair = uv_output + static_cast<long long>(top) * uv_pitch + 2 * left;
    pair[0] = to_byte(128.0f + u * 0.25f);
    pair[1] = to_byte(128.0f + v * 0.25f);
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(overlay_nv12_, RTPARSE_SOURCE)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
