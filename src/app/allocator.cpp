// How the released program takes memory: jemalloc (docs/decisions/0015-allocator.md), linked in
// whole because nothing refers to this file.

/// jemalloc reads it before main(). An arena for each core; what was freed goes back within half a
/// second, so that an import's memory does not stay.
extern "C" const char* malloc_conf;
const char* malloc_conf = "percpu_arena:percpu,dirty_decay_ms:500,muzzy_decay_ms:0";
