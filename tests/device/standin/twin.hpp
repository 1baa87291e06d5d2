// Behind a kernel's source: tells the stand-in the sizes of its parameters, which a real module's code tells the driver.
#pragma once

#include <cstddef>

template <class... Parameters>
std::size_t size_of_parameter(void (*)(Parameters...), std::size_t index) {
    const std::size_t sizes[] = {sizeof(Parameters)..., 0};
    return sizes[index];
}

// The size of the index-th parameter in bytes, 0 behind the last.
#define TWIN(name) \
    extern "C" std::size_t name##_parameter(std::size_t index) { return size_of_parameter(name, index); }
