// Streams, events and graphs. Work is done when something demands it, or when the stream happens to stroll: a wait that
// is missing shows as work done too early or too late.
#include "state.hpp"

#include <chrono>
#include <thread>

namespace standin {

namespace {

std::thread::id capturing;  // the thread that captures; one at a time
Graph *captured = nullptr;

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void do_next(Stream &stream) {
    Piece piece = std::move(stream.queue.front());
    stream.queue.pop_front();
    if (piece.after.stream) advance(*piece.after.stream, piece.after.number);
    if (piece.work) piece.work();
    ++stream.done;
}

void push(Stream &stream, Piece piece) {
    stream.queue.push_back(std::move(piece));
    ++stream.given;
}

CUresult invalid_handle() {
    ++state().counts["misuse"];
    return CUDA_ERROR_INVALID_HANDLE;
}

}  // namespace

std::shared_ptr<Stream> stream_of(CUstream handle) {
    auto found = state().streams.find(handle);
    return found == state().streams.end() ? nullptr : found->second;
}

void advance(Stream &stream, uint64_t number) {
    while (stream.done < number) do_next(stream);
}

void advance_all() {
    for (auto &[handle, stream] : state().streams) advance(*stream, stream->given);
}

void stroll() {
    State &s = state();
    for (auto &[handle, stream] : s.streams) {
        while (!stream->queue.empty() && s.random() % 100 >= s.delay) {
            const Ticket &after = stream->queue.front().after;
            if (after.stream && after.stream->done < after.number) break;
            do_next(*stream);
        }
    }
}

CUresult enqueue(CUstream handle, Work work) {
    if (!handle) {  // the legacy default stream waits for all others, and they for it
        ++state().counts["default stream"];
        advance_all();
        work();
        return CUDA_SUCCESS;
    }
    auto stream = stream_of(handle);
    if (!stream) return invalid_handle();
    if (!at_home(stream->owner)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) {
        stream->capture->work.push_back(std::move(work));
    } else {
        push(*stream, {std::move(work), {}});
    }
    return CUDA_SUCCESS;
}

bool captures_here() { return captured && capturing == std::this_thread::get_id(); }

void spoil_capture() { captured->broken = true; }

}  // namespace standin

using namespace standin;

CUresult cuStreamCreate(CUstream *handle, unsigned) {
    ENTER(context);
    *handle = new_handle<CUstream>();
    state().streams[*handle] = std::make_shared<Stream>();
    state().streams[*handle]->owner = current_context();
    return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream *handle, unsigned flags, int) { return cuStreamCreate(handle, flags); }

CUresult cuStreamDestroy(CUstream handle) {
    ENTER(context);
    auto stream = stream_of(handle);
    if (!stream) return invalid_handle();
    advance(*stream, stream->given);  // its work still ends, as CUDA promises; when is not said
    state().streams.erase(handle);
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream handle) {
    ENTER(no_capture);
    ++state().counts["synchronizations"];
    if (!handle) {
        advance_all();
        return CUDA_SUCCESS;
    }
    auto stream = stream_of(handle);
    if (!stream) return invalid_handle();
    advance(*stream, stream->given);
    return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream handle) {
    ENTER(no_capture);
    auto stream = stream_of(handle);
    if (handle && !stream) return invalid_handle();
    return !stream || stream->queue.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
    ENTER(context);
    auto stream = stream_of(handle);
    auto found = state().events.find(event);
    if (!stream || found == state().events.end()) return invalid_handle();
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    if (found->second->ticket.stream) push(*stream, {{}, found->second->ticket});
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *handle, unsigned flags) {
    ENTER(context);
    *handle = new_handle<CUevent>();
    state().events[*handle] = std::make_shared<Event>();
    state().events[*handle]->owner = current_context();
    state().events[*handle]->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent handle) {
    ENTER(context);
    return state().events.erase(handle) ? CUDA_SUCCESS : invalid_handle();
}

CUresult cuEventRecord(CUevent handle, CUstream on) {
    ENTER(context);
    auto found = state().events.find(handle);
    if (found == state().events.end()) return invalid_handle();
    auto event = found->second;
    auto stream = stream_of(on);
    if (on && !stream) return invalid_handle();
    if (!at_home(event->owner) || (stream && !at_home(stream->owner))) return CUDA_ERROR_INVALID_HANDLE;
    event->recorded = true;
    if (!stream) {
        advance_all();
        event->ticket = {};
        event->seconds = seconds();
        return CUDA_SUCCESS;
    }
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    push(*stream, {[event] { event->seconds = seconds(); }, {}});
    event->ticket = {stream, stream->given};
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent handle) {
    ENTER(no_capture);
    ++state().counts["synchronizations"];
    auto found = state().events.find(handle);
    if (found == state().events.end()) return invalid_handle();
    Ticket ticket = found->second->ticket;
    if (ticket.stream) advance(*ticket.stream, ticket.number);
    return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent handle) {
    ENTER(no_capture);
    auto found = state().events.find(handle);
    if (found == state().events.end()) return invalid_handle();
    const Ticket &ticket = found->second->ticket;
    return !ticket.stream || ticket.stream->done >= ticket.number ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
    ENTER(context);
    auto first = state().events.find(start), last = state().events.find(end);
    if (first == state().events.end() || last == state().events.end()) return invalid_handle();
    for (auto &event : {first->second, last->second}) {
        if (!event->timed || !event->recorded) return invalid_handle();
        const Ticket &ticket = event->ticket;
        if (ticket.stream && ticket.stream->done < ticket.number) return CUDA_ERROR_NOT_READY;
    }
    *milliseconds = static_cast<float>((last->second->seconds - first->second->seconds) * 1e3);
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
    ENTER(no_capture);
    ++state().counts["synchronizations"];
    advance_all();
    return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode) {
    ENTER(context);
    auto stream = stream_of(handle);
    if (!stream) return invalid_handle();
    if (captured) return CUDA_ERROR_ILLEGAL_STATE;
    captured = stream->capture = new Graph;
    captured->owner = stream->owner;
    capturing = std::this_thread::get_id();
    return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph) {
    std::lock_guard<std::mutex> hold(state().lock);
    CUresult refused = entered(__func__, Needs::context);  // the capture ends even so
    auto stream = stream_of(handle);
    if (!stream || !stream->capture) return invalid_handle();
    std::shared_ptr<Graph> done(stream->capture);
    stream->capture = captured = nullptr;
    *graph = nullptr;
    if (refused != CUDA_SUCCESS) return refused;
    if (done->broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    *graph = new_handle<CUgraph>();
    state().graphs[*graph] = done;
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
    ENTER(context);
    auto stream = stream_of(handle);
    *status = stream && stream->capture ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
    ENTER(context);
    auto found = state().graphs.find(graph);
    if (found == state().graphs.end()) return invalid_handle();
    *executable = new_handle<CUgraphExec>();
    state().executables[*executable] = found->second;
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream handle) {
    ENTER(context);
    auto found = state().executables.find(executable);
    if (found == state().executables.end()) return invalid_handle();
    auto graph = found->second;
    return enqueue(handle, [graph] {
        for (auto &work : graph->work) work();
    });
}

CUresult cuGraphDestroy(CUgraph graph) {
    ENTER(context);
    return state().graphs.erase(graph) ? CUDA_SUCCESS : invalid_handle();
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    ENTER(context);
    return state().executables.erase(executable) ? CUDA_SUCCESS : invalid_handle();
}
