// Notifies sanitizers of fibre switches and of barriers. Without a sanitizer, the functions are empty.
#pragma once

#include <cstddef>

#if defined(EMULATOR_RACES)
#include <sanitizer/tsan_interface.h>
#elif defined(EMULATOR_MEMORY)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace sanitizer {

// ThreadSanitizer treats each fibre as a thread, unordered by switches. release and acquire of the same address order what
// happened before the one and after the other.
#if defined(EMULATOR_RACES)
inline void* new_fibre() { return __tsan_create_fiber(0); }
inline void* this_fibre() { return __tsan_get_current_fiber(); }
inline void go_to(void* fibre) { __tsan_switch_to_fiber(fibre, __tsan_switch_to_fiber_no_sync); }
inline void release(void* place) { __tsan_release(place); }
inline void acquire(void* place) { __tsan_acquire(place); }
#else
inline void* new_fibre() { return nullptr; }
inline void* this_fibre() { return nullptr; }
inline void go_to(void*) {}
inline void release(void*) {}
inline void acquire(void*) {}
#endif

// AddressSanitizer needs to know the current stack, and memory that must not be accessed.
#if defined(EMULATOR_MEMORY)
inline void leave_stack(void** fake, const void* bottom, std::size_t size) {
    __sanitizer_start_switch_fiber(fake, bottom, size);
}
inline void enter_stack(void* fake, const void** from, std::size_t* size) {
    __sanitizer_finish_switch_fiber(fake, from, size);
}
inline void forbid(const void* at, std::size_t bytes) { __asan_poison_memory_region(at, bytes); }
inline void permit(const void* at, std::size_t bytes) { __asan_unpoison_memory_region(at, bytes); }
#else
inline void leave_stack(void**, const void*, std::size_t) {}
inline void enter_stack(void*, const void**, std::size_t*) {}
inline void forbid(const void*, std::size_t) {}
inline void permit(const void*, std::size_t) {}
#endif

}  // namespace sanitizer
