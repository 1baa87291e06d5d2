// Bilinear interpolation at half-pixel centres, the edge repeated outward: torch's F.interpolate(mode="bilinear",
// align_corners=False) in its own order of float32 operations. Every kernel that interpolates does it here.
#pragma once

#include "portable.cuh"

namespace rtparse {

// Along one axis: the two samples around a place (the same one twice at the far edge), and the weight of the second.
struct Taps {
    int first, second;
    float weight;
};

// The taps at position scale * (index + 0.5) + offset - 0.5 of an axis of `size` samples.
RTPARSE_DEVICE Taps taps(int index, float scale, float offset, int size) {
    float position = scale * (static_cast<float>(index) + 0.5f) + offset - 0.5f;
    position = position > 0.0f ? position : 0.0f;
    int first = static_cast<int>(position);
    first = first < size - 1 ? first : size - 1;
    float weight = position - static_cast<float>(first);
    weight = weight < 1.0f ? weight : 1.0f;
    return {first, first < size - 1 ? first + 1 : first, weight};
}

// The value between four corners: a b above, c d below.
RTPARSE_DEVICE float bilinear(float a, float b, float c, float d, float down, float right) {
    const float up = 1.0f - down, left = 1.0f - right;
    return up * (left * a + right * b) + down * (left * c + right * d);
}

// Two rows of samples of which neighbouring places are asked for in turn: a corner that the last place had is not
// loaded again.
template <typename T>
struct RowPair {
    const T *above, *below;
    int left, right;
    float a, b, c, d;

    RTPARSE_DEVICE RowPair(const T* above, const T* below)
        : above(above), below(below), left(-1), right(-1), a(0), b(0), c(0), d(0) {}

    RTPARSE_DEVICE float at(const Taps& x, float down) {
        if (x.first != left || x.second != right) {
            if (x.first == right) {
                a = b;
                c = d;
            } else {
                a = to_float(read(above + x.first));
                c = to_float(read(below + x.first));
            }
            b = to_float(read(above + x.second));
            d = to_float(read(below + x.second));
            left = x.first;
            right = x.second;
        }
        return bilinear(a, b, c, d, down, x.weight);
    }
};

}  // namespace rtparse
