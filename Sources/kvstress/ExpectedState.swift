import KVBase
import KVStorage

/// What each key of each thread must hold, as of a verified round.
///
/// Kept in a file beside the store, which is replaced as a whole: whoever is killed, the file is of one
/// round, and ``Progress`` says what may have happened since.
struct ExpectedState {
  /// What a key must hold until a second, if ever it expires.
  struct Value: Hashable {
    var version: Workload.Version
    /// 0 for never.
    var expiry: UInt64

    /// True when what is found under the key, read at some time between the two seconds, is right.
    static func agrees(
      _ expected: Value?, _ found: Workload.Version?, _ time: ClosedRange<UInt64>
    ) -> Bool {
      guard let expected else { return found == nil }
      let mayBeGone = expected.expiry != 0 && expected.expiry <= time.upperBound
      let mayBeThere = expected.expiry == 0 || expected.expiry > time.lowerBound
      return found == nil ? mayBeGone : mayBeThere && found == expected.version
    }
  }

  typealias Keys = [Int: Value]

  /// The last verified round; 0 before the first.
  var round = 0
  /// For each thread the keys that have a value.
  var threads: [Keys]

  init(threads count: Int) { threads = Array(repeating: [:], count: count) }

  var keyCount: Int { threads.reduce(0) { $0 + $1.count } }

  /// Applies a step of a thread and returns the keys that it concerned.
  static func apply(
    _ step: Workload.Step, _ life: Workload.Life, number: Int, to keys: inout Keys
  ) -> Set<Int> {
    var touched: Set<Int> = []
    for operation in step.operations {
      switch operation {
      case .put(let key, _, let seconds):
        let version = Workload.Version(round: life.round, number: number)
        keys[key] = Value(version: version, expiry: seconds.map { life.epoch + $0 } ?? 0)
        touched.insert(key)
      case .delete(let key):
        keys[key] = nil
        touched.insert(key)
      case .deleteRange(let range):
        for key in range { keys[key] = nil }
        touched.formUnion(range)
      }
    }
    return touched
  }

  // MARK: The file

  private static let magic = Bytes("SPINEEXP".utf8)

  static func path(_ directory: String) -> String { directory + ".expected" }

  func save(_ directory: String, _ workload: Workload) throws(StorageError) {
    var writer = ByteWriter()
    writer.write(raw: ExpectedState.magic)
    writer.write(fixed: workload.seed)
    writer.write(count: workload.keys)
    writer.write(count: round)
    writer.write(count: threads.count)
    for keys in threads {
      writer.write(count: keys.count)
      for (key, value) in keys {
        writer.write(count: key)
        writer.write(count: value.version.round)
        writer.write(count: value.version.number)
        writer.write(varint: value.expiry)
      }
    }
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    try PosixFileSystem().replaceFile(ExpectedState.path(directory), contents: writer.bytes)
  }

  /// The state of an earlier run of the same workload; nil when there was none.
  init?(_ directory: String, _ workload: Workload) throws {
    let path = ExpectedState.path(directory)
    guard try PosixFileSystem().exists(path) else { return nil }
    let bytes = try PosixFileSystem().readAll(path)
    var reader = ByteReader(bytes)
    guard try reader.readRaw(8) == ExpectedState.magic,
      try reader.readFixed(UInt64.self) == workload.seed,
      try reader.readVarint() == UInt64(workload.keys)
    else { throw StorageError(.malformed, "another seed or number of keys was used", path: path) }
    round = Int(try reader.readVarint())
    threads = []
    for _ in 0..<(try reader.readVarint()) {
      var keys: Keys = [:]
      for _ in 0..<(try reader.readVarint()) {
        let key = Int(try reader.readVarint())
        let version = Workload.Version(
          round: Int(try reader.readVarint()), number: Int(try reader.readVarint()))
        keys[key] = Value(version: version, expiry: try reader.readVarint())
      }
      threads.append(keys)
    }
    guard try reader.readFixed(UInt32.self) == CRC32C.checksum(bytes.dropLast(4)),
      threads.count == workload.threads
    else { throw StorageError(.malformed, "not the state of this workload", path: path) }
  }
}
