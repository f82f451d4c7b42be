import CAllocationCounter
import Foundation
import Synchronization

/// What a run of one workload on one engine gave.
struct Measurement: Sendable {
  var operationCount = 0
  var seconds = 0.0
  /// Nanoseconds of each operation that was timed, ascending.
  var latencies: [UInt32] = []
  var allocationCount = 0

  var operationsPerSecond: Double { Double(operationCount) / max(seconds, 1e-9) }

  /// A percentile in microseconds.
  func percentile(_ fraction: Double) -> Double? {
    guard !latencies.isEmpty else { return nil }
    let index = min(latencies.count - 1, Int(fraction * Double(latencies.count)))
    return Double(latencies[index]) / 1000
  }

  /// Runs operations 0, 1, 2, … on one thread, up to a count or a time.
  ///
  /// One operation in `stride` is timed, so that the clock costs fast operations little.
  static func run(
    count: Int = .max, limit: Double, stride: Int = 1, _ operation: (Int) -> Void
  ) -> Measurement {
    var result = Measurement()
    result.latencies.reserveCapacity(min(count, 4 << 20) / stride + 1)
    let allocations = spinekv_thread_allocations()
    let start = now()
    let deadline = start + UInt64(limit * 1e9)
    var done = 0
    while done < count {
      let before = now()
      operation(done)
      let after = now()
      result.latencies.append(UInt32(clamping: after - before))
      done += 1
      if after > deadline { break }
      let untimed = min(count - done, stride - 1)
      for index in done..<done + untimed { operation(index) }
      done += untimed
    }
    result.seconds = Double(now() - start) / 1e9
    result.operationCount = done
    result.allocationCount = Int(spinekv_thread_allocations() - allocations)
    result.latencies.sort()
    return result
  }

  /// Runs the operations of several threads at once; `body` is given the thread's number.
  ///
  /// The clock starts when all threads are ready.
  static func run(
    threads: Int, limit: Double, _ body: @escaping @Sendable (Int) -> (Int) -> Void
  ) -> Measurement {
    let parts = Mutex<[Measurement]>([])
    let ready = DispatchSemaphore(value: 0)
    let go = DispatchSemaphore(value: 0)
    let group = DispatchGroup()
    for thread in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        let operation = body(thread)
        ready.signal()
        go.wait()
        let part = run(limit: limit, operation)
        parts.withLock { $0.append(part) }
        group.leave()
      }
    }
    for _ in 0..<threads { ready.wait() }
    let start = now()
    for _ in 0..<threads { go.signal() }
    group.wait()
    return merge(parts.withLock { $0 }, seconds: Double(now() - start) / 1e9)
  }

  private static func merge(_ parts: [Measurement], seconds: Double) -> Measurement {
    var result = Measurement()
    result.seconds = seconds
    for part in parts {
      result.operationCount += part.operationCount
      result.allocationCount += part.allocationCount
      result.latencies += part.latencies
    }
    result.latencies.sort()
    return result
  }
}

/// Nanoseconds on the clock that never goes back.
func now() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
