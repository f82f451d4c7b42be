import Foundation
import KVSimulator
import Testing

@Suite struct ProbeTests {
  @Test func `every probe of the shards is known to the report, and no other`() throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    var found: Set<String> = []
    for module in ["KVNode", "KVCluster"] {
      let folder = root.appending(path: "Sources/\(module)")
      let names = try #require(FileManager.default.enumerator(atPath: folder.path))
      for case let name as String in names where name.hasSuffix(".swift") {
        let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
        for match in text.matches(of: /probe\("([^"]+)"\)/) { found.insert(String(match.1)) }
      }
    }
    #expect(found.sorted() == KnownProbes.shards)
  }

  @Test func `counts of the same path add up`() {
    var counts = ProbeCounts()
    counts.count("b")
    counts.count("a", 2)
    var other = ProbeCounts()
    other.count("b", 3)
    counts.add(other)
    #expect(counts.rows.map(\.name) == ["a", "b"])
    #expect(counts.rows.map(\.count) == [2, 4])
  }
}
