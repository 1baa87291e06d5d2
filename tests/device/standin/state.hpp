// What the parts of the stand-in driver share. One lock guards all of it; kernels run while it is held.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace standin {

using Work = std::function<void()>;

struct Stream;

// A place in a stream's work: reached once the stream has done that many pieces.
struct Ticket {
    std::shared_ptr<Stream> stream;
    uint64_t number = 0;
};

struct Piece {
    Work work;
    Ticket after;  // on another stream; none where `stream` is null
};

struct Graph {
    CUcontext owner = nullptr;
    std::vector<Work> work;
    bool broken = false;
};

struct Stream {
    CUcontext owner = nullptr;
    std::deque<Piece> queue;
    uint64_t given = 0, done = 0;
    Graph *capture = nullptr;
};

struct Event {
    CUcontext owner = nullptr;
    bool timed = true;
    bool recorded = false;
    Ticket ticket;
    double seconds = 0;
};

struct Function {
    CUcontext owner = nullptr;
    void (*run)(const unsigned *grid, const unsigned *block, void **params);
    std::vector<size_t> sizes;  // of the parameters, in bytes
};

struct Module {
    CUcontext owner = nullptr;
    void *library = nullptr;
    std::map<std::string, std::unique_ptr<Function>> functions;
};

struct Block {
    size_t size;
    bool host;
    CUcontext owner;
};

struct State {
    std::mutex lock;
    int pid = 0;  // of the process that initialized; 0 before
    std::map<CUcontext, unsigned> retained;
    std::map<uintptr_t, Block> memory;
    std::map<CUstream, std::shared_ptr<Stream>> streams;
    std::map<CUevent, std::shared_ptr<Event>> events;
    std::map<CUmodule, std::shared_ptr<Module>> modules;
    std::map<CUfunction, Function *> functions;
    std::map<CUgraph, std::shared_ptr<Graph>> graphs;
    std::map<CUgraphExec, std::shared_ptr<Graph>> executables;
    std::map<std::string, long> counts;
    std::mt19937 random{0};
    unsigned delay = 70;  // per cent of the chances to go on that a stream lets pass
    std::map<CUcontext, size_t> device_bytes;
    CUresult lost = CUDA_SUCCESS;  // what every call answers once the GPU is lost
};

State &state();

// Counts the call, lets streams stroll, and says how the call shall fail (CUDA_SUCCESS: it does not).
enum class Needs { nothing, init, context, no_capture };
CUresult entered(const char *symbol, Needs needs);

long setting(const char *name, long otherwise);  // of the environment

// Work
std::shared_ptr<Stream> stream_of(CUstream handle);  // null where there is none
CUresult enqueue(CUstream handle, Work work);
void advance(Stream &stream, uint64_t number);
void advance_all();
void stroll();
bool captures_here();
void spoil_capture();

// Memory
size_t memory_total();
const Block *block_of(const void *pointer, size_t size);  // null where it is not inside one

// Contexts
CUcontext current_context();

// Whether what belongs to a context is used in it. CUDA lets devices share some of it; rtparse never does.
bool at_home(CUcontext owner);

template <class Handle>
Handle new_handle() {
    static uintptr_t next = 0x5a000000;  // never given out twice, so that a freed one is known as such
    return reinterpret_cast<Handle>(next += 16);
}

}  // namespace standin

#define ENTER(NEEDS)                                                                                     \
    std::lock_guard<std::mutex> hold(standin::state().lock);                                             \
    if (CUresult refused = standin::entered(__func__, standin::Needs::NEEDS); refused != CUDA_SUCCESS) { \
        return refused;                                                                                  \
    }
