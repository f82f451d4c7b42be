import Foundation
import KVBase
import KVStorage
import Testing

@Suite struct KeySourceTests {
  private func withFile(
    _ contents: String, mode: Int, _ body: (KeySource) throws -> Void
  ) throws {
    let path = NSTemporaryDirectory() + "spinekv-key-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(contents.utf8).write(to: URL(filePath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    try body(.file(path))
  }

  private func hex(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: digits.count == 1 ? "0" + digits : digits, count: 32)
  }

  @Test func `a file holds raw bytes or lines of digits`() throws {
    try withFile(hex(1), mode: 0o600) { source in
      let ring = try source.load()
      #expect(ring == .test(1))
    }
    try withFile(hex(0xAB).uppercased() + "\r\n" + hex(2) + "\n", mode: 0o400) { source in
      let ring = try source.load()
      #expect(ring == .test(0xAB, 2))
    }
    let raw = String(repeating: "k", count: 32)
    try withFile(raw, mode: 0o600) { source in
      let ring = try source.load()
      #expect(try ring.current == NodeKey(bytes(raw)))
    }
  }

  @Test func `bad files are refused without showing what is in them`() throws {
    for contents in ["", "\n", "abc", hex(1) + "0", hex(1).replacing("0", with: "g")] {
      try withFile(contents, mode: 0o600) { source in
        let error = #expect(throws: StorageError.self) { try source.load() }
        #expect(error?.code == .keyUnavailable)
        #expect(error?.description.contains("gg") == false)
      }
    }
    let error = #expect(throws: StorageError.self) { try KeySource.file("/none/key").load() }
    #expect(error?.code == .keyUnavailable)
    #expect(throws: StorageError.self) { try KeySource.file("/").load() }
  }

  @Test(arguments: [0o640, 0o604, 0o660])
  func `a file that others may use is refused`(mode: Int) throws {
    try withFile(hex(1), mode: mode) { source in
      let error = #expect(throws: StorageError.self) { try source.load() }
      #expect(error?.code == .accessDenied)
    }
  }

  @Test func `a command prints the keys`() throws {
    let printed = try KeySource.command(["sh", "-c", "echo \(hex(7)); echo \(hex(8))"]).load()
    #expect(printed == .test(7, 8))
    for command in [
      ["false"], ["/none/program"], [], ["echo"], ["sh", "-c", "yes | head -c 99999"],
    ] {
      let error = #expect(throws: StorageError.self) { try KeySource.command(command).load() }
      #expect(error?.code == .keyUnavailable, "\(command)")
    }
  }

  @Test func `a key shows its id and not itself`() {
    #expect("\(NodeKey.test(1))" == "node key \(NodeKey.test(1).id)")
    #expect(NodeKey.test(1).id.description.count == 16)
    #expect(NodeKey.test(1).id != NodeKey.test(2).id)
  }
}
