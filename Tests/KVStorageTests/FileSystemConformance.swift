import Foundation
import KVBase
import KVStorage
import Testing

/// What every file system must do.
struct FileSystemConformance {
  let fileSystem: any FileSystem
  let root: String

  func check() throws {
    try namesAndBytes()
    try linksTruncatesAndPreallocates()
    for seed in 0..<12 { try followsModel(seed: UInt64(seed)) }
  }

  func namesAndBytes() throws {
    try fileSystem.createDirectory(root + "/a/b")
    try fileSystem.createDirectory(root + "/a/b")
    let path = root + "/a/b/file"
    #expect(try !fileSystem.exists(path))
    #expect(throws: StorageError.self) { try fileSystem.open(path) }
    #expect(throws: StorageError.self) { try fileSystem.size(path) }
    #expect(throws: StorageError.self) { try fileSystem.remove(path) }
    #expect(throws: StorageError.self) { try fileSystem.create(root + "/missing/file") }

    let file = try fileSystem.create(path)
    try file.write("hello world", at: 0)
    try file.write("W", at: 6)
    try file.write("!", at: 12)
    try file.sync()
    #expect(try fileSystem.size(path) == 13)
    #expect(try fileSystem.readAll(path) == bytes("hello World\0!"))
    let reader = try fileSystem.open(path)
    var buffer = Bytes(repeating: 7, count: 10)
    let count = try buffer.withUnsafeMutableBytes { try reader.read(at: 9, into: $0) }
    #expect(count == 4 && buffer[..<5] == [0x6C, 0x64, 0, 0x21, 7])
    #expect(try buffer.withUnsafeMutableBytes { try reader.read(at: 99, into: $0) } == 0)

    try fileSystem.rename(path, to: root + "/a/b/other")
    try fileSystem.syncDirectory(root + "/a/b")
    #expect(try fileSystem.list(root + "/a/b") == ["other"])
    try fileSystem.replaceFile(root + "/a/b/other", contents: [1, 2])
    #expect(try fileSystem.readAll(root + "/a/b/other") == [1, 2])
    _ = try fileSystem.create(root + "/a/b/other")
    #expect(try fileSystem.size(root + "/a/b/other") == 0)
    try fileSystem.remove(root + "/a/b/other")
    #expect(try fileSystem.list(root + "/a/b").isEmpty)

    var lock: (any FileLock)? = try fileSystem.lock(root + "/LOCK")
    #expect(lock != nil)
    let error = #expect(throws: StorageError.self) { try fileSystem.lock(root + "/LOCK") }
    #expect(error?.code == .locked)
    lock = nil
    _ = try fileSystem.lock(root + "/LOCK")
  }

  func linksTruncatesAndPreallocates() throws {
    try fileSystem.createDirectory(root + "/c")
    let path = root + "/a/b/file"
    let file = try fileSystem.create(path)
    try file.write("one two", at: 0)
    try fileSystem.link(path, to: root + "/c/other")
    try fileSystem.syncDirectory(root + "/c")
    try file.write("TWO", at: 4)
    #expect(try fileSystem.readAll(root + "/c/other") == bytes("one TWO"))
    let error = #expect(throws: StorageError.self) {
      try fileSystem.link(path, to: root + "/c/other")
    }
    #expect(error?.code == .inputOutput)
    #expect(throws: StorageError.self) { try fileSystem.link(root + "/none", to: root + "/d") }
    #expect(throws: StorageError.self) { try fileSystem.link(path, to: root + "/none/d") }

    try file.truncate(to: 5)
    try file.preallocate(8..<150_000)
    try file.write("xy", at: 5)
    #expect(try fileSystem.size(path) == 150_000)
    let contents = try fileSystem.readAll(root + "/c/other")
    #expect(contents.starts(with: bytes("one Txy\0\0")))
    #expect(contents.count == 150_000 && contents[7...].allSatisfy { $0 == 0 })
    try file.truncate(to: 7)
    try file.sync()
    #expect(try fileSystem.readAll(path) == bytes("one Txy"))
    try fileSystem.rename(root + "/c/other", to: root + "/c/last")
    try fileSystem.remove(path)
    #expect(try fileSystem.readAll(root + "/c/last") == bytes("one Txy"))
    try fileSystem.remove(root + "/c/last")
    _ = fileSystem.secondsSinceEpoch
  }

  /// Random changes of one file, compared with an array, by a reader that was there before and by new
  /// ones.
  func followsModel(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let path = root + "/model"
    let file = try fileSystem.create(path)
    let early = try fileSystem.open(path)
    var model = FileModel()
    for _ in 0..<40 {
      let change = model.change(&random)
      try change.apply(to: file)
      model.apply(change)
      if random.chance(0.3) { try file.sync() }
      #expect(try fileSystem.size(path) == model.bytes.count, "seed \(seed) \(change)")
      let reader = random.chance(0.5) ? early : try fileSystem.open(path)
      let offset = random.below(model.bytes.count + 1)
      var buffer = Bytes(repeating: 9, count: random.below(12_000))
      let count = try buffer.withUnsafeMutableBytes { try reader.read(at: offset, into: $0) }
      #expect(
        buffer.prefix(count) == model.bytes[offset...].prefix(buffer.count),
        "seed \(seed) \(change)")
    }
    #expect(try fileSystem.readAll(path) == model.bytes, "seed \(seed)")
    try fileSystem.remove(path)
  }
}

extension WritableFile {
  func write(_ text: String, at offset: Int) throws {
    try bytes(text).withUnsafeBytes { try write($0, at: offset) }
  }

  func write(_ bytes: Bytes, at offset: Int) throws(StorageError) {
    try bytes.withUnsafeBufferPointer { (buffer) throws(StorageError) in
      try write(UnsafeRawBufferPointer(buffer), at: offset)
    }
  }
}

/// One change of a file.
enum FileChange {
  case write(Bytes, at: Int)
  case truncate(Int)
  case preallocate(Range<Int>)

  func apply(to file: any WritableFile) throws(StorageError) {
    switch self {
    case .write(let bytes, let offset): try file.write(bytes, at: offset)
    case .truncate(let count): try file.truncate(to: count)
    case .preallocate(let range): try file.preallocate(range)
    }
  }
}

/// The obvious file.
struct FileModel {
  /// How long the longest writes are.
  var longWriteByteCount = 90_000
  private(set) var bytes: Bytes = []
  private(set) var writtenEnd = 0

  /// Mostly appends; now and then a gap, bytes written again, a cut or preallocated space.
  func change(_ random: inout SeededRandom) -> FileChange {
    switch random.below(20) {
    case 0: return .write(content(&random), at: writtenEnd + random.below(6000))
    case 1, 2: return .write(content(&random), at: random.below(writtenEnd + 1))
    case 3: return .truncate(random.below(bytes.count + 1))
    case 4:
      let start = writtenEnd + (random.chance(0.5) ? 0 : random.below(3000))
      return .preallocate(start..<start + random.below(20_000))
    default: return .write(content(&random), at: writtenEnd)
    }
  }

  func content(_ random: inout SeededRandom) -> Bytes {
    let count =
      random.chance(0.1)
      ? random.below(longWriteByteCount)
      : random.chance(0.5) ? random.below(200) : random.below(9000)
    let seed = UInt8(truncatingIfNeeded: random.next())
    return (0..<count).map { 1 + UInt8((Int(seed) + $0 / 7 + $0) % 255) }
  }

  mutating func apply(_ change: FileChange) {
    switch change {
    case .write(let content, let offset):
      guard !content.isEmpty else { return }
      extend(to: offset + content.count)
      bytes.replaceSubrange(offset..<offset + content.count, with: content)
      writtenEnd = max(writtenEnd, offset + content.count)
    case .truncate(let count):
      bytes.removeLast(bytes.count - count)
      writtenEnd = min(writtenEnd, count)
    case .preallocate(let range): if !range.isEmpty { extend(to: range.upperBound) }
    }
  }

  private mutating func extend(to count: Int) {
    bytes += Bytes(repeating: 0, count: max(0, count - bytes.count))
  }
}

@Suite struct FileSystemConformanceTests {
  private func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    let root = NSTemporaryDirectory() + "spinekv-files-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    try body(root)
  }

  @Test func `the crashable file system conforms`() throws {
    try FileSystemConformance(fileSystem: CrashableFileSystem(), root: "/root").check()
  }

  @Test func `the machine's file system conforms`() throws {
    try withTemporaryDirectory {
      try FileSystemConformance(fileSystem: PosixFileSystem(), root: $0).check()
    }
  }

  @Test func `an encrypted file system conforms on the crashable one`() throws {
    let fileSystem = EncryptedFileSystem.test(CrashableFileSystem())
    try FileSystemConformance(fileSystem: fileSystem, root: "/root").check()
  }

  @Test func `an encrypted file system conforms on the machine's`() throws {
    try withTemporaryDirectory {
      let fileSystem = EncryptedFileSystem(PosixFileSystem(), keys: .test(1))
      try FileSystemConformance(fileSystem: fileSystem, root: $0).check()
    }
  }
}
