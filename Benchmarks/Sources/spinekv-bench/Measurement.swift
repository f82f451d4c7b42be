import CAllocationCounter
import Foundation
import Synchronization

/// What a run of one workload on one engine gave.
struct Measurement: Sendable {
  var operationCount = 0
  var seconds = 0.0
  /// Nanoseconds of each operation, ascending.
  var latencies: [UInt32] = []
  var allocationCount = 0

  var operationsPerSecond: Double { Double(operationCount) / max(seconds, 1e-9) }

  /// A percentile in microseconds.
  func percentile(_ fraction: Double) -> Double? {
    guard !latencies.isEmpty else { return nil }
    let index = min(latencies.count - 1, Int(fraction * Double(latencies.count)))
    return Double(latencies[index]) / 1000
  }

  /// Runs operations 0, 1, 2, … on one thread, up to a count or a time, timing each.
  static func run(
    count: Int, limit: Double, _ operation: (Int) -> Void
  ) -> Measurement {
    var result = Measurement()
    result.latencies.reserveCapacity(count)
    let allocations = spinekv_thread_allocations()
    let start = now()
    var last = start
    var done = 0
    while done < count {
      operation(done)
      done += 1
      let time = now()
      result.latencies.append(UInt32(clamping: time - last))
      last = time
      if Double(time - start) > limit * 1e9 { break }
    }
    result.operationCount = done
    result.seconds = Double(last - start) / 1e9
    result.allocationCount = Int(spinekv_thread_allocations() - allocations)
    result.latencies.sort()
    return result
  }

  /// Runs the operations of several threads at once; `body` is given the thread's number.
  static func run(
    threads: Int, count: Int, limit: Double, _ body: @escaping @Sendable (Int) -> (Int) -> Void
  ) -> Measurement {
    if threads == 1 { return run(count: count, limit: limit, body(0)) }
    let parts = Mutex<[Measurement]>([])
    let start = now()
    let group = DispatchGroup()
    for thread in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        let part = run(count: count / threads, limit: limit, body(thread))
        parts.withLock { $0.append(part) }
        group.leave()
      }
    }
    group.wait()
    var result = Measurement()
    result.seconds = Double(now() - start) / 1e9
    for part in parts.withLock({ $0 }) {
      result.operationCount += part.operationCount
      result.allocationCount += part.allocationCount
      result.latencies += part.latencies
    }
    result.latencies.sort()
    return result
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
