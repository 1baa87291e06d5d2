// Averaging by area when shrinking, as OpenCV's INTER_AREA computes it.
#pragma once

#include "portable.cuh"

namespace rtparse {

// The samples under one cell, `index`, of an axis of `size` samples cut into `cells` equal cells, and their weights:
// those from `whole` up to `tail` lie in it wholly, the one before and the one after in part. A part of a thousandth
// of a sample or less is left out.
struct Span {
    int begin, end, whole, tail;
    float before, inside, after;

    RTPARSE_DEVICE Span(int index, int size, int cells) {
        // In units of 1 / cells of a sample, everything is an integer.
        const long long from = static_cast<long long>(index) * size, to = from + size;
        whole = static_cast<int>((from + cells - 1) / cells);
        tail = static_cast<int>(to / cells);
        const int part_before = static_cast<int>(static_cast<long long>(whole) * cells - from);
        const int part_after = static_cast<int>(to - static_cast<long long>(tail) * cells);
        const float width = static_cast<float>(size);
        before = static_cast<float>(part_before) / width;
        inside = static_cast<float>(cells) / width;
        after = static_cast<float>(part_after) / width;
        begin = part_before * 1000LL > cells ? whole - 1 : whole;
        end = part_after * 1000LL > cells ? tail + 1 : tail;
    }

    RTPARSE_DEVICE float weight(int sample) const {
        return sample < whole ? before : sample < tail ? inside : after;
    }
};

}  // namespace rtparse
