import Foundation
import Synchronization

/// What the kernel knows of this process.
enum ProcessFigures {
  /// Bytes that the process has had written to disk so far.
  static func writtenByteCount() -> Int {
    sync()
    return number("write_bytes:", in: "/proc/self/io")
  }

  /// The bytes of memory in use.
  static func residentByteCount() -> Int { number("VmRSS:", in: "/proc/self/status") << 10 }

  /// The most memory that was in use since ``resetPeak()``.
  static func peakResidentByteCount() -> Int { number("VmHWM:", in: "/proc/self/status") << 10 }

  static func resetPeak() {
    orFail { try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8) }
  }

  private static func number(_ field: String, in path: String) -> Int {
    let text = orFail { try String(contentsOfFile: path, encoding: .utf8) }
    for line in text.split(separator: "\n") where line.hasPrefix(field) {
      let rest = line.dropFirst(field.count).split { $0 == " " || $0 == "\t" }
      if let value = rest.first.flatMap({ Int($0) }) { return value }
    }
    stop("there is no '\(field)' in \(path)")
  }
}

/// The space that directories take.
enum DiskUsage {
  /// Bytes of the blocks allocated to a directory's files.
  ///
  /// Files that vanish while it looks count nothing.
  static func byteCount(of directory: String) -> Int {
    guard let names = FileManager.default.enumerator(atPath: directory) else { return 0 }
    var total = 0
    for case let name as String in names {
      var info = stat()
      if lstat("\(directory)/\(name)", &info) == 0 { total += Int(info.st_blocks) * 512 }
    }
    return total
  }
}

/// Watches the space that a directory takes from a thread of its own.
final class DiskUsageSampler: Sendable {
  private let isStopped = Atomic(false)
  private let largest = Atomic(0)
  private let ended = DispatchSemaphore(value: 0)

  init(_ directory: String) {
    Thread.detachNewThread { [self] in
      while !isStopped.load(ordering: .relaxed) {
        largest.max(DiskUsage.byteCount(of: directory), ordering: .relaxed)
        usleep(25_000)
      }
      ended.signal()
    }
  }

  /// Ends watching; the most bytes that were seen.
  func finish() -> Int {
    isStopped.store(true, ordering: .relaxed)
    ended.wait()
    return largest.load(ordering: .relaxed)
  }
}
