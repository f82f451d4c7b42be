import Foundation
import Testing

@Suite struct ArchitectureTests {
  /// The modules each module may import, besides the standard library's.
  static let arrows: [String: Set<String>] = [
    "KVBase": ["CCRC32C"],
    "KVModel": ["KVBase"],
    "KVProtocol": [
      "KVBase", "KVModel", "SwiftProtobuf", "Foundation", "FoundationEssentials",
    ],
    "KVStorage": [
      "KVBase", "CLZ4", "CCrypto", "Synchronization", "Glibc", "Foundation",
    ],
    "KVCluster": ["KVBase", "KVModel"],
    "KVNode": ["KVBase", "KVModel", "KVCluster", "KVStorage"],
    "KVClient": [
      "KVBase", "KVModel", "KVProtocol", "KVTransport", "NIOCore", "NIOPosix", "SwiftProtobuf",
      "Foundation", "Synchronization",
    ],
    "KVTransport": ["KVBase", "NIOCore", "NIOPosix", "Synchronization"],
    "KVSimulator": ["KVBase", "KVModel", "KVStorage", "KVCluster", "KVNode"],
    "SpineServices": ["KVBase", "KVClient", "KVModel", "CCrypto", "Foundation", "Synchronization"],
  ]

  /// Modules whose every decision must follow from what they are told.
  static let pure = ["KVBase", "KVModel", "KVCluster", "KVNode", "KVSimulator"]

  /// What pure modules may not name, and what to use instead.
  static let banned: [(pattern: String, instead: String)] = [
    (#"\bDate\(\)"#, "the `Now` that came in"),
    (#"\b(Continuous|Suspending)Clock\b"#, "the `Now` that came in"),
    (#"\bSystemRandomNumberGenerator\b"#, "SeededRandom"),
    (#"\.(random|randomElement|shuffle|shuffled)\((in: [^,)]*)?\)"#, "the form with `using:`"),
    (#"\bTask\s*(\.|\{)"#, "an effect"),
    (#"\basync\b|\bawait\b"#, "an effect"),
    (#"\b(Thread|DispatchQueue|NSLock|Mutex|Atomic)\b"#, "plain values"),
    (#"\bprint\("#, "an effect"),
  ]

  @Test func `modules import only what the architecture allows`() throws {
    for file in try Repository.files(in: "Sources", suffix: ".swift") {
      guard let allowed = Self.arrows[file.module] else { continue }
      for (index, line) in file.lines.enumerated() {
        guard
          let match = line.firstMatch(
            of:
              /^\s*(?:@preconcurrency |@testable )?(?:public |package |internal )?import (?:struct |enum |func )?(\w+)/
          )
        else { continue }
        let name = String(match.1)
        #expect(allowed.contains(name), "\(file.path):\(index + 1) imports \(name)")
      }
    }
  }

  @Test func `only transport, server and client know the network library`() throws {
    for file in try Repository.files(in: "Sources", suffix: ".swift")
    where !["KVTransport", "KVServer", "KVClient"].contains(file.module) {
      let line = file.lines.firstIndex { $0.contains(/^\s*\w* ?import NIO/) }
      #expect(line == nil, "\(file.path) imports NIO")
    }
  }

  @Test func `only the file system's own files leave its protocol`() throws {
    for file in try Repository.files(in: "Sources/KVStorage", suffix: ".swift")
    where !file.path.contains("/FileSystem/") {
      let line = file.lines.firstIndex {
        $0.contains(/^\s*(internal )?import (Glibc|Foundation|Dispatch|CCrypto)/)
      }
      #expect(line == nil, "\(file.path):\((line ?? 0) + 1) leaves the FileSystem protocol")
    }
  }

  @Test func `pure modules call nothing impure`() throws {
    for (pattern, instead) in Self.banned {
      let expression = try Regex(pattern)
      for module in Self.pure {
        for file in try Repository.files(in: "Sources/\(module)", suffix: ".swift") {
          for (index, line) in file.lines.enumerated() {
            let code = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[
              0]
            #expect(
              !code.contains(expression),
              "\(file.path):\(index + 1) \(pattern): use \(instead)")
          }
        }
      }
    }
  }

  @Test func `every mutant finds the text it changes exactly once`() throws {
    for mutant in try Repository.files(in: "Tests/Mutants", suffix: ".mutant") {
      let text = mutant.lines.joined(separator: "\n")
      let path = mutant.lines.first { $0.hasPrefix("file: ") }?.dropFirst("file: ".count)
      let file = Repository.root.appending(path: String(path ?? ""))
      let source = try String(contentsOf: file, encoding: .utf8)
      let parts = text.components(separatedBy: "<<<<\n").last?.components(separatedBy: "\n====\n")
      let found = parts.map { source.components(separatedBy: $0[0]).count - 1 }
      #expect(parts?.count == 2 && found == 1, "\(mutant.path) finds \(found ?? 0) places")
    }
  }

  @Test func `nothing is left unfinished`() throws {
    let marks = try Regex(#"\b(TODO|FIXME|XXX)\b|not implemented|unimplemented"#)
    for folder in ["Sources", "scripts"] {
      for file in try Repository.files(in: folder, suffix: "") {
        for (index, line) in file.lines.enumerated() {
          #expect(!line.contains(marks), "\(file.path):\(index + 1): \(line)")
        }
      }
    }
  }
}
