// A frame of any size and pitch to the network's input: rtparse/preprocess.py in one pass. Shrunk by area (whole blocks
// first, then the rest, each rounded to 8 bits as OpenCV does), enlarged bilinearly, normalized as value * scale - shift
// in float, zero around.
//
// Built with -D macros, one entry for each variant:
//   RTPARSE_T       half, bfloat16 or float: the input's type
//   RTPARSE_SOURCE  bgr, nv12 or p016: see pictures.cuh
// Entry letterbox_normalize_{T}_{SOURCE}. Pitches are in bytes. Arguments: the source's (pictures.cuh), then
//   frame height, width, content height, width, top, left, network height, width, swap (1: the network takes RGB),
//   scale and shift of the network's first, second and third channel, T* output (3, network height, network width)
// Thread x is a pixel of the output. Grid and block: launch.py.
#include "area.cuh"
#include "bilinear.cuh"
#include "pictures.cuh"

namespace rtparse {

// One pixel of a picture of size (height, width) shrunk to (rows, columns).
template <typename Picture>
RTPARSE_DEVICE Bgr shrunk(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    const Span down(y, height, rows), across(x, width, columns);
    // Cells of whole samples are summed, in integers as far as a float holds them, and divided at the end.
    const bool whole = height % rows == 0 && width % columns == 0;
    Bgr32 sum = {{0.0f, 0.0f, 0.0f}};
    for (int i = down.begin; i < down.end; ++i) {
        Bgr32 row = {{0.0f, 0.0f, 0.0f}};
        for (int j = across.begin; j < across.end; ++j) {
            const Bgr pixel = picture(i, j);
            const float weight = whole ? 1.0f : across.weight(j);
            for (int k = 0; k < 3; ++k) row.at[k] += weight * static_cast<float>(pixel.at[k]);
        }
        const float weight = whole ? 1.0f : down.weight(i);
        for (int k = 0; k < 3; ++k) sum.at[k] += weight * row.at[k];
    }
    if (!whole) return rounded(sum);
    const int samples = (height / rows) * (width / columns);
    const float share = 1.0f / static_cast<float>(samples);
    // Of a mean of four that lies half-way OpenCV takes the greater level; of others the even one.
    const bool fours = samples == 4 && height / rows == 2;
    for (int k = 0; k < 3; ++k) sum.at[k] = fours ? (static_cast<int>(sum.at[k]) + 2) / 4 : sum.at[k] * share;
    return rounded(sum);
}

template <typename Picture>
struct Shrunk {
    Picture picture;
    int height, width, rows, columns;

    RTPARSE_DEVICE Bgr operator()(int y, int x) const {
        return shrunk(picture, height, width, rows, columns, y, x);
    }
};

// One pixel of a picture of size (height, width) enlarged to (rows, columns).
template <typename Picture>
RTPARSE_DEVICE Bgr enlarged(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    const Taps down = taps(y, static_cast<float>(height) / static_cast<float>(rows), 0.0f, height);
    const Taps across = taps(x, static_cast<float>(width) / static_cast<float>(columns), 0.0f, width);
    const Bgr a = picture(down.first, across.first), b = picture(down.first, across.second);
    const Bgr c = picture(down.second, across.first), d = picture(down.second, across.second);
    Bgr32 between;
    for (int k = 0; k < 3; ++k)
        between.at[k] = bilinear(static_cast<float>(a.at[k]), static_cast<float>(b.at[k]),
                                 static_cast<float>(c.at[k]), static_cast<float>(d.at[k]), down.weight, across.weight);
    return rounded(between);
}

template <typename Picture>
RTPARSE_DEVICE Bgr scaled(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    if (rows > height || columns > width) return enlarged(picture, height, width, rows, columns, y, x);
    const int blocks = height / rows < width / columns ? height / rows : width / columns;
    const Shrunk<Picture> whole = {picture, height, width, height / blocks, width / blocks};
    return shrunk(whole, whole.rows, whole.columns, rows, columns, y, x);
}

typedef RTPARSE_T T;

#define RTPARSE_ENTRY_(type, source) letterbox_normalize_##type##_##source
#define RTPARSE_ENTRY(type, source) RTPARSE_ENTRY_(type, source)
#define RTPARSE_NAME RTPARSE_ENTRY(RTPARSE_T, RTPARSE_SOURCE)

RTPARSE_KERNEL RTPARSE_NAME(RTPARSE_PASTE(RTPARSE_ARGUMENTS_, RTPARSE_SOURCE), int frame_height, int frame_width,
                            int height, int width, int top, int left, int network_height, int network_width, int swap,
                            float scale0, float scale1, float scale2, float shift0, float shift1, float shift2,
                            T* __restrict__ output) {
    const int size = network_height * network_width, index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int y = index / network_width - top, x = index % network_width - left;
    const float scale[] = {scale0, scale1, scale2}, shift[] = {shift0, shift1, shift2};
    if (y < 0 || y >= height || x < 0 || x >= width) {
        for (int k = 0; k < 3; ++k) output[index + k * size] = from_float<T>(0.0f);
        return;
    }
    const RTPARSE_SOURCE picture = RTPARSE_PASTE(RTPARSE_PICTURE_, RTPARSE_SOURCE);
    const Bgr colour = scaled(picture, frame_height, frame_width, height, width, y, x);
#pragma unroll
    for (int k = 0; k < 3; ++k)
        output[index + k * size] =
            from_float<T>(static_cast<float>(swap ? colour.at[2 - k] : colour.at[k]) * scale[k] - shift[k]);
}

}  // namespace rtparse

using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
