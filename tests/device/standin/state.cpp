// Counts, failures on request, and the functions through which tests see them.
#include "state.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace standin {

namespace {

struct Fault {
    std::string name;
    long after;
    CUresult code;
    bool lost;
};
std::vector<Fault> faults;

std::string plain(std::string symbol) {
    auto version = symbol.rfind("_v");
    return version == std::string::npos ? symbol : symbol.substr(0, version);
}

// What still answers once the GPU is lost or the process was forked.
bool always(const std::string &name) {
    return name == "cuDriverGetVersion" || name == "cuDevicePrimaryCtxRelease" || name == "cuCtxPushCurrent" ||
           name == "cuCtxPopCurrent";
}

}  // namespace

State &state() {
    static State *the = new State;  // never destroyed: libraries call while the process ends
    return *the;
}

long setting(const char *name, long otherwise) {
    const char *value = std::getenv(name);
    return value ? std::atol(value) : otherwise;
}

CUresult entered(const char *symbol, Needs needs) {
    State &s = state();
    std::string name = plain(symbol);
    ++s.counts["calls:" + name];
    ++s.counts["calls"];
    if (needs != Needs::nothing && s.pid == 0) return CUDA_ERROR_NOT_INITIALIZED;
    if (s.pid != 0 && s.pid != getpid()) return CUDA_ERROR_NOT_INITIALIZED;
    if (s.lost != CUDA_SUCCESS && !always(name)) return s.lost;
    for (auto fault = faults.begin(); fault != faults.end(); ++fault) {
        if (fault->name == name && --fault->after == 0) {
            CUresult code = fault->code;
            if (fault->lost) s.lost = code;
            faults.erase(fault);
            ++s.counts["failed"];
            return code;
        }
    }
    if ((needs == Needs::context || needs == Needs::no_capture) && !current_context()) {
        ++s.counts["misuse"];
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (needs == Needs::no_capture && captures_here()) {
        spoil_capture();
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    if (needs == Needs::context || needs == Needs::no_capture) stroll();
    return CUDA_SUCCESS;
}

}  // namespace standin

using namespace standin;

extern "C" {

// The `after`-th call of `name` from now (1: the next) fails with `code`; with `lost`, so does every call after it.
void standin_fail(const char *name, long after, int code, int lost) {
    std::lock_guard<std::mutex> hold(state().lock);
    faults.push_back({name, after, static_cast<CUresult>(code), lost != 0});
}

void standin_heal() {
    std::lock_guard<std::mutex> hold(state().lock);
    faults.clear();
    state().lost = CUDA_SUCCESS;
}

// delay: per cent of the chances to go on that a stream lets pass: 100 waits for a demand, 0 works at once.
void standin_delay(unsigned delay, unsigned seed) {
    std::lock_guard<std::mutex> hold(state().lock);
    state().delay = delay;
    state().random.seed(seed);
}

void standin_zero() {
    std::lock_guard<std::mutex> hold(state().lock);
    state().counts.clear();
}

// All counts, one "name number" a line; returns the length, and writes where it fits.
size_t standin_counts(char *text, size_t room) {
    State &s = state();
    std::lock_guard<std::mutex> hold(s.lock);
    size_t device = 0, host = 0, pending = 0;
    for (auto &[address, block] : s.memory) ++(block.host ? host : device);
    for (auto &[handle, stream] : s.streams) pending += stream->queue.size();
    auto counts = s.counts;
    for (auto &[context, users] : s.retained) counts["live:context"] += users;
    counts["live:device memory"] = static_cast<long>(device);
    counts["live:host memory"] = static_cast<long>(host);
    counts["live:stream"] = static_cast<long>(s.streams.size());
    counts["live:event"] = static_cast<long>(s.events.size());
    counts["live:module"] = static_cast<long>(s.modules.size());
    counts["live:graph"] = static_cast<long>(s.graphs.size());
    counts["live:graph executable"] = static_cast<long>(s.executables.size());
    counts["pending"] = static_cast<long>(pending);
    std::string lines;
    for (auto &[name, count] : counts) lines += name + " " + std::to_string(count) + "\n";
    if (lines.size() < room) std::memcpy(text, lines.c_str(), lines.size() + 1);
    return lines.size();
}

}  // extern "C"
