import Foundation
import KVBase
import KVStorage
import Testing

/// What encryption costs, for people: set `SPINEKV_MEASURE` to a directory on the disk in question and
/// run `swift test -c release -Xswiftc -enable-testing --filter EncryptionCost`.
@Suite struct EncryptionCostTests {
  private static let directory = ProcessInfo.processInfo.environment["SPINEKV_MEASURE"]
  private static let byteCount = 256 << 20

  @Test(.enabled(if: directory != nil))
  func `measure encrypted against plain files`() throws {
    let root = try #require(Self.directory) + "/spinekv-cost-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    try PosixFileSystem().createDirectory(root)
    for round in 1...3 {
      try measure(PosixFileSystem(), "plain \(round)", root + "/plain")
      try measure(
        EncryptedFileSystem(PosixFileSystem(), keys: .test(1)), "encrypted \(round)",
        root + "/encrypted")
    }
  }

  private func measure(_ fileSystem: any FileSystem, _ name: String, _ path: String) throws {
    let piece = Bytes((0..<256 << 10).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    let file = try fileSystem.create(path)
    let writing = try seconds {
      for offset in stride(from: 0, to: Self.byteCount, by: piece.count) {
        try file.write(piece, at: offset)
      }
    }
    let syncing = try seconds { try file.sync() }
    let reader = try fileSystem.open(path)
    var buffer = piece
    let reading = try seconds {
      for offset in stride(from: 0, to: Self.byteCount, by: piece.count) {
        _ = try buffer.withUnsafeMutableBytes { try reader.read(at: offset, into: $0) }
      }
    }
    var random = SeededRandom(seed: 1)
    let picking = try seconds {
      try buffer.withUnsafeMutableBytes { buffer in
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<4096])
        for _ in 0..<200_000 {
          _ = try reader.read(at: random.below(Self.byteCount - 4096), into: room)
        }
      }
    }
    let grouping = try ContinuousClock().measure {
      try writeGroups(fileSystem, path + "-journal")
    }
    let megabytes = Double(Self.byteCount) / 1e6
    print(
      "\(name): write \(Int(megabytes / writing)) MB/s, sync \(Int(syncing * 1e3)) ms,",
      "read \(Int(megabytes / reading)) MB/s,",
      "4 KiB read \(Int(picking / 200_000 * 1e9)) ns,",
      "3 KiB append and sync \(grouping / 2000) of wall time")
  }

  private func writeGroups(_ fileSystem: any FileSystem, _ path: String) throws {
    let group = Bytes(repeating: 7, count: 3000)
    let file = try fileSystem.create(path)
    try file.preallocate(0..<2000 * group.count)
    try file.sync()
    for index in 0..<2000 {
      try file.write(group, at: index * group.count)
      try file.sync()
    }
  }

  /// Processor time, which other work on the machine disturbs less than the time of day.
  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = clock()
    try body()
    return Double(clock() - start) / Double(CLOCKS_PER_SEC)
  }
}
