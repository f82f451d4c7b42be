import Glibc
import KVBase
import KVStorage

/// What the writer of a round has reported: a file in shared memory beside the store.
///
/// What is stored there outlives the process that stored it, and also the one that waits for it: only
/// the machine's end could lose it. Each number is written by one thread, and read by others only
/// after the writer's end.
final class Progress: @unchecked Sendable {
  // The memory is mapped from `init` to `deinit`; see above for who touches which number.
  private let numbers: UnsafeMutablePointer<UInt64>
  private let byteCount: Int

  /// Counters of the writer, for the summary.
  enum Counter: Int, CaseIterable {
    case flushes = 2
    case compactions = 3
    case collections = 4
    case checks = 5
  }

  private static let headerCount = 8

  private static func path(_ directory: String) -> String { directory + ".progress" }

  /// Makes the file of a new round, in place of the last one's.
  static func begin(
    _ directory: String, _ life: Workload.Life, threads: Int
  ) throws(StorageError) {
    var bytes = Bytes()
    for number in [UInt64(life.round), life.epoch] {
      withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
    }
    bytes.append(
      contentsOf: repeatElement(0, count: 8 * (headerCount + threads) - bytes.count))
    try PosixFileSystem().replaceFile(path(directory), contents: bytes)
  }

  /// The file of the present round; nil when there is none.
  init?(_ directory: String, threads: Int) {
    byteCount = 8 * (Progress.headerCount + threads)
    let descriptor = open(Progress.path(directory), O_RDWR)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard lseek(descriptor, 0, SEEK_END) == byteCount,
      let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      memory != MAP_FAILED
    else { return nil }
    numbers = memory.bindMemory(to: UInt64.self, capacity: Progress.headerCount + threads)
  }

  deinit { munmap(numbers, byteCount) }

  var life: Workload.Life { Workload.Life(round: Int(numbers[0]), epoch: numbers[1]) }

  subscript(counter: Counter) -> Int {
    get { Int(numbers[counter.rawValue]) }
    set { numbers[counter.rawValue] = UInt64(newValue) }
  }

  /// The last step of a thread that was reported durable.
  func durable(_ thread: Int) -> Int { Int(numbers[Progress.headerCount + thread]) }

  func setDurable(_ thread: Int, _ number: Int) {
    numbers[Progress.headerCount + thread] = UInt64(number)
  }
}
