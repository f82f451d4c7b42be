import Foundation
import KVBase
import KVStorage
import Testing

/// What only the crashable file system can do.
@Suite struct FileSystemTests {
  @Test func `synced bytes and names survive, the rest may not`() throws {
    var outcomes: Set<Bytes> = []
    var names: Set<[String]> = []
    for seed in 0..<200 {
      let fileSystem = CrashableFileSystem()
      try fileSystem.createDirectory("/d")
      let file = try fileSystem.create("/d/synced")
      try file.write("durable", at: 0)
      try file.sync()
      try fileSystem.syncDirectory("/d")
      try file.write("12345", at: 7)
      try file.write("6789", at: 12)
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
    try file.write("lost", at: 0)
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
      try file.write("durable", at: 0)
      try file.sync()
      try file.truncate(to: 3)
      try file.write("X", at: 3)
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
    try file.write("12345678", at: 0)
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
    #expect(throws: StorageError.self) { try other.write("123", at: 0) }
    try crashed.remove("/b/f")
    try other.write("123", at: 0)
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
