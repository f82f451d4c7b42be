import Foundation
import KVBase
import KVStorage
import Testing

/// What every file system must do, and what only the crashable one can.
@Suite struct FileSystemTests {
  private func conforms(_ fileSystem: any FileSystem, _ root: String) throws {
    try fileSystem.createDirectory(root + "/a/b")
    try fileSystem.createDirectory(root + "/a/b")
    let path = root + "/a/b/file"
    #expect(try !fileSystem.exists(path))
    #expect(throws: StorageError.self) { try fileSystem.open(path) }
    #expect(throws: StorageError.self) { try fileSystem.size(path) }
    #expect(throws: StorageError.self) { try fileSystem.remove(path) }
    #expect(throws: StorageError.self) { try fileSystem.create(root + "/missing/file") }

    let file = try fileSystem.create(path)
    try write(file, "hello world", at: 0)
    try write(file, "W", at: 6)
    try write(file, "!", at: 12)
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
    try linksTruncatesAndPreallocates(fileSystem, root)

    var lock: (any FileLock)? = try fileSystem.lock(root + "/LOCK")
    #expect(lock != nil)
    let error = #expect(throws: StorageError.self) { try fileSystem.lock(root + "/LOCK") }
    #expect(error?.code == .locked)
    lock = nil
    _ = try fileSystem.lock(root + "/LOCK")
  }

  private func linksTruncatesAndPreallocates(
    _ fileSystem: any FileSystem, _ root: String
  ) throws {
    try fileSystem.createDirectory(root + "/c")
    let path = root + "/a/b/file"
    let file = try fileSystem.create(path)
    try write(file, "one two", at: 0)
    try fileSystem.link(path, to: root + "/c/other")
    try fileSystem.syncDirectory(root + "/c")
    try write(file, "TWO", at: 4)
    #expect(try fileSystem.readAll(root + "/c/other") == bytes("one TWO"))
    let error = #expect(throws: StorageError.self) {
      try fileSystem.link(path, to: root + "/c/other")
    }
    #expect(error?.code == .inputOutput)
    #expect(throws: StorageError.self) { try fileSystem.link(root + "/none", to: root + "/d") }
    #expect(throws: StorageError.self) { try fileSystem.link(path, to: root + "/none/d") }

    try file.truncate(to: 5)
    try file.preallocate(8..<150_000)
    try write(file, "xy", at: 5)
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

  private func write(_ file: any WritableFile, _ text: String, at offset: Int) throws {
    try bytes(text).withUnsafeBytes { try file.write($0, at: offset) }
  }

  @Test func `the crashable file system conforms`() throws {
    try conforms(CrashableFileSystem(), "/root")
  }

  @Test func `the machine's file system conforms`() throws {
    let root = NSTemporaryDirectory() + "spinekv-files-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    try conforms(PosixFileSystem(), root)
  }

  @Test func `synced bytes and names survive, the rest may not`() throws {
    var outcomes: Set<Bytes> = []
    var names: Set<[String]> = []
    for seed in 0..<200 {
      let fileSystem = CrashableFileSystem()
      try fileSystem.createDirectory("/d")
      let file = try fileSystem.create("/d/synced")
      try write(file, "durable", at: 0)
      try file.sync()
      try fileSystem.syncDirectory("/d")
      try write(file, "12345", at: 7)
      try write(file, "6789", at: 12)
      _ = try fileSystem.create("/d/new")
      try fileSystem.rename("/d/new", to: "/d/renamed")
      var random = SeededRandom(seed: UInt64(seed))
      let crashed = fileSystem.crash(random: &random)
      let contents = try crashed.readAll("/d/synced")
      #expect(contents.starts(with: bytes("durable")))
      outcomes.insert(contents)
      names.insert(try crashed.list("/d"))
      #expect(try fileSystem.readAll("/d/synced") == bytes("durable123456789"))
    }
    #expect(outcomes.contains(bytes("durable")) && outcomes.contains(bytes("durable123456789")))
    #expect(outcomes.contains(bytes("durable123")), "a write torn in the middle")
    #expect(
      outcomes.contains(bytes("durable\0\0\0\0\u{0}6789")), "a later write without an earlier")
    #expect(names == [["synced"], ["new", "synced"], ["renamed", "synced"]])
  }

  @Test func `the same seed gives the same crash`() throws {
    func run() throws -> [Bytes] {
      let fileSystem = CrashableFileSystem()
      let store = try Store.open(at: "/s", fileSystem: fileSystem, options: .tiny)
      var generator = OperationGenerator(random: SeededRandom(seed: 8))
      for _ in 0..<300 { _ = try store.append(WriteBatch(generator.batch())) }
      var random = SeededRandom(seed: 5)
      let crashed = fileSystem.crash(random: &random)
      return try ["/s/journal", "/s/ledger"].flatMap { directory in
        try crashed.list(directory).map { try crashed.readAll("\(directory)/\($0)") }
      }
    }
    #expect(try run() == run())
  }

  @Test func `bytes of a failed sync are not made durable by a later one`() throws {
    let fileSystem = CrashableFileSystem()
    try fileSystem.createDirectory("/d")
    let file = try fileSystem.create("/d/f")
    try fileSystem.syncDirectory("/d")
    try write(file, "lost", at: 0)
    fileSystem.injectFault(.inputOutput, at: 1)
    #expect(throws: StorageError.self) { try file.sync() }
    try file.sync()
    var random = SeededRandom(seed: 1)
    #expect(try fileSystem.crash(random: &random).readAll("/d/f").isEmpty)
  }

  @Test func `an unsynced truncation may or may not survive`() throws {
    var outcomes: Set<Bytes> = []
    for seed in 0..<200 {
      let fileSystem = CrashableFileSystem()
      try fileSystem.createDirectory("/d")
      let file = try fileSystem.create("/d/f")
      try fileSystem.syncDirectory("/d")
      try write(file, "durable", at: 0)
      try file.sync()
      try file.truncate(to: 3)
      try write(file, "X", at: 3)
      var random = SeededRandom(seed: UInt64(seed))
      outcomes.insert(try fileSystem.crash(random: &random).readAll("/d/f"))
      try file.sync()
      #expect(try fileSystem.crash(random: &random).readAll("/d/f") == bytes("durX"))
    }
    #expect(Set(["durable", "dur", "durX", "durXble"].map(bytes)) == outcomes)
  }

  @Test func `both names of a file survive a crash as one`() throws {
    let fileSystem = CrashableFileSystem(byteCapacity: 10)
    try fileSystem.createDirectory("/a")
    try fileSystem.createDirectory("/b")
    let file = try fileSystem.create("/a/f")
    try write(file, "12345678", at: 0)
    try file.sync()
    try fileSystem.link("/a/f", to: "/b/f")
    try fileSystem.syncDirectory("/a")
    try fileSystem.syncDirectory("/b")
    try fileSystem.remove("/a/f")
    try fileSystem.syncDirectory("/a")
    var random = SeededRandom(seed: 1)
    let crashed = fileSystem.crash(random: &random)
    #expect(try !crashed.exists("/a/f"))
    #expect(try crashed.readAll("/b/f") == bytes("12345678"))
    let other = try crashed.create("/a/g")
    #expect(throws: StorageError.self) { try write(other, "123", at: 0) }
    try crashed.remove("/b/f")
    try write(other, "123", at: 0)
  }

  @Test func `the wall clock is what was set, or the machine's`() {
    let fileSystem = CrashableFileSystem()
    #expect(fileSystem.secondsSinceEpoch == 0)
    fileSystem.setSecondsSinceEpoch(77)
    #expect(fileSystem.secondsSinceEpoch == 77)
    let now = Date().timeIntervalSince1970
    #expect(abs(Double(PosixFileSystem().secondsSinceEpoch) - now) < 5)
  }
}
