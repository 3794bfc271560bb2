/**
 * How much this process allocates in V8's heap. Node 24 has no counter of that, so it is added up from what the garbage
 * collector saw: the growth of the heap from the end of one collection to the begin of the next. What lies outside the
 * heap, as the contents of large buffers do, is not in it.
 */
import { GCProfiler, getHeapStatistics } from "node:v8"

/** Starts to add up; returns how to learn the sum in bytes. */
export const start = (): (() => number) => {
  const profiler = new GCProfiler()
  let last = getHeapStatistics().used_heap_size
  profiler.start()
  return () => {
    const end = getHeapStatistics().used_heap_size
    let bytes = 0
    for (const { afterGC, beforeGC } of profiler.stop().statistics) {
      bytes += beforeGC.heapStatistics.usedHeapSize - last
      last = afterGC.heapStatistics.usedHeapSize
    }
    return bytes + end - last
  }
}
