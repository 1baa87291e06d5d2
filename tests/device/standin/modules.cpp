// Kernels: a module's image names a library of host-compiled twins (twin.hpp) instead of holding machine code:
//
//     standin
//     PATH OF THE LIBRARY
#include "state.hpp"

#include <dlfcn.h>

#include <cstring>
#include <sstream>

using namespace standin;

namespace {

CUresult load(CUmodule *handle, const void *image) {
    std::istringstream lines(static_cast<const char *>(image));
    std::string line, path;
    std::getline(lines, line);
    if (line != "standin") return CUDA_ERROR_INVALID_IMAGE;
    std::getline(lines, path);
    auto module = std::make_shared<Module>();
    module->owner = current_context();
    module->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module->library) return CUDA_ERROR_INVALID_IMAGE;
    *handle = new_handle<CUmodule>();
    state().modules[*handle] = module;
    return CUDA_SUCCESS;
}

}  // namespace

CUresult cuModuleLoadData(CUmodule *handle, const void *image) {
    ENTER(no_capture);
    return load(handle, image);
}

CUresult cuModuleLoadDataEx(CUmodule *handle, const void *image, unsigned, CUjit_option *, void **) {
    ENTER(no_capture);
    return load(handle, image);
}

CUresult cuModuleUnload(CUmodule handle) {
    ENTER(no_capture);
    auto found = state().modules.find(handle);
    if (found == state().modules.end()) {
        ++state().counts["misuse"];
        return CUDA_ERROR_INVALID_HANDLE;
    }
    advance_all();
    for (auto &[name, function] : found->second->functions) {
        state().functions.erase(reinterpret_cast<CUfunction>(function.get()));
    }
    state().modules.erase(found);
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule handle, const char *name) {
    ENTER(context);
    auto found = state().modules.find(handle);
    if (found == state().modules.end()) return CUDA_ERROR_INVALID_HANDLE;
    void *library = found->second->library;
    auto symbol = [&](const char *suffix) { return dlsym(library, (std::string(name) + suffix).c_str()); };
    auto sizes = reinterpret_cast<size_t (*)(size_t)>(symbol("_parameter"));
    auto kernel = std::make_unique<Function>();
    kernel->owner = found->second->owner;
    kernel->run = reinterpret_cast<decltype(kernel->run)>(symbol("_host"));
    if (!sizes || !kernel->run) return CUDA_ERROR_NOT_FOUND;
    for (size_t i = 0; sizes(i); ++i) kernel->sizes.push_back(sizes(i));
    *function = reinterpret_cast<CUfunction>(kernel.get());
    state().functions[*function] = kernel.get();
    found->second->functions[name] = std::move(kernel);
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned, CUstream stream, void **params, void **extra) {
    ENTER(context);
    auto found = state().functions.find(handle);
    if (found == state().functions.end()) {
        ++state().counts["misuse"];
        return CUDA_ERROR_INVALID_HANDLE;
    }
    if (!at_home(found->second->owner)) return CUDA_ERROR_INVALID_HANDLE;
    std::vector<unsigned> grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
    size_t threads = size_t{block_x} * block_y * block_z;
    if (!grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535 || !threads || threads > 1024 || block_z > 64) {
        ++state().counts["misuse"];
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!params || extra) return CUDA_ERROR_NOT_SUPPORTED;
    // The parameters are read now: the caller may change them once the launch has returned.
    auto values = std::make_shared<std::vector<std::vector<char>>>();
    for (size_t i = 0; i < found->second->sizes.size(); ++i) {
        auto *first = static_cast<const char *>(params[i]);
        values->emplace_back(first, first + found->second->sizes[i]);
    }
    ++state().counts["launches"];
    auto run = found->second->run;
    return enqueue(stream, [run, grid, block, values] {
        std::vector<void *> pointers;
        for (auto &value : *values) pointers.push_back(value.data());
        run(grid.data(), block.data(), pointers.data());
    });
}
