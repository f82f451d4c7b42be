import Foundation
import Testing

@Suite struct DocumentationTests {
  private func documents() throws -> [Repository.File] {
    try Repository.files(in: "Docs", suffix: ".md")
      + ["README.md", "CHANGELOG.md"].map { name in
        let text = try String(
          contentsOf: Repository.root.appending(path: name), encoding: .utf8)
        return Repository.File(path: name, lines: text.components(separatedBy: "\n"))
      }
  }

  @Test func `links between documents and to files lead somewhere`() throws {
    for file in try documents() {
      for (index, line) in file.lines.enumerated() {
        for match in line.matches(of: /\]\(([^)#\s]+)(#[^)]*)?\)/) {
          let target = String(match.1)
          guard !target.contains("://") else { continue }
          let base = Repository.root.appending(path: file.path).deletingLastPathComponent()
          let exists = FileManager.default.fileExists(
            atPath: base.appending(path: target).standardizedFileURL.path)
          #expect(exists, "\(file.path):\(index + 1) links to \(target)")
        }
      }
    }
  }

  @Test func `source files named in the documents exist`() throws {
    for file in try documents() where !file.path.contains("RESULTS") {
      for (index, line) in file.lines.enumerated() {
        for match in line.matches(of: /`((?:Sources|Tests|Benchmarks|scripts|Docs)\/[\w\/+.\-]*)`/)
        {
          let exists = FileManager.default.fileExists(
            atPath: Repository.root.appending(path: String(match.1)).path)
          #expect(exists, "\(file.path):\(index + 1) names \(match.1)")
        }
      }
    }
  }

  @Test func `every promise of the cluster names tests that exist`() throws {
    let tests = try Repository.files(in: "Tests", suffix: ".swift").flatMap(\.lines)
      .compactMap { $0.firstMatch(of: /func `([^`]+)`/).map { String($0.1) } }
    let page = try #require(try documents().first { $0.path.hasSuffix("Docs/Cluster.md") })
    let text = page.lines.joined(separator: " ").replacing(/\s+/, with: " ")
    // A test's name is a sentence; other code in the text has at most three words.
    let named = text.matches(of: /`([^`]+)`/).map { String($0.1) }
      .filter { $0.split(separator: " ").count > 3 }
    #expect(named.count > 20)
    for name in named { #expect(tests.contains(name), "no test is named \(name)") }
  }

  /// The blocks of Swift of a document, without indentation.
  private func examples(of path: String) throws -> [[String]] {
    let document = try #require(try documents().first { $0.path == path })
    var blocks: [[String]] = []
    var isInside = false
    for line in document.lines {
      if line.hasPrefix("```") {
        isInside = line == "```swift"
        if isInside { blocks.append([]) }
      } else if isInside {
        blocks[blocks.count - 1].append(line.trimmingCharacters(in: .whitespaces))
      }
    }
    return blocks
  }

  @Test func `the client's examples are those that a test runs`() throws {
    let file = try #require(
      try Repository.files(in: "Tests/IntegrationTests", suffix: "ClientExamples.swift").first)
    let lines = file.lines.map { line in
      let text = line.trimmingCharacters(in: .whitespaces)
      return text.hasPrefix("private struct") ? String(text.dropFirst("private ".count)) : text
    }
    let code = lines.joined(separator: "\n")
    let blocks = try examples(of: "Docs/Client.md")
    #expect(blocks.count > 10)
    for block in blocks {
      #expect(
        code.contains(block.joined(separator: "\n")),
        "an example that no test runs:\n\(block.joined(separator: "\n"))")
    }
    let readme = try #require(
      try examples(of: "README.md").first { $0.contains("import KVClient") })
    for line in readme where !line.isEmpty && !line.hasPrefix("import") {
      #expect(
        lines.contains(line.replacing("port: 8087", with: "port: port")),
        "a line of the README that no test runs: \(line)")
    }
  }

  @Test func `every document has one title`() throws {
    for file in try documents() {
      var fenced = false
      var titles = 0
      for line in file.lines {
        if line.hasPrefix("```") { fenced.toggle() }
        if !fenced, line.hasPrefix("# ") { titles += 1 }
      }
      #expect(titles == 1, "\(file.path) has \(titles) titles")
    }
  }

  @Test func `the top level holds only what it should`() throws {
    let allowed: Set = [
      "Package.swift", "Sources", "Tests", "Benchmarks", "Docs", "scripts", "README.md",
      "CHANGELOG.md", "Package.resolved",
    ]
    for name in try FileManager.default.contentsOfDirectory(atPath: Repository.root.path)
    where !name.hasPrefix(".") {
      #expect(allowed.contains(name), "\(name) lies at the top level")
    }
  }

  @Test func `the error table lists exactly the codes of the sources`() throws {
    var declared: [Int: String] = [:]
    for file in try Repository.files(in: "Sources", suffix: ".swift") {
      for line in file.lines {
        guard
          let match = line.firstMatch(
            of: /static let (\w+) = (?:Code|Self)\((?:rawValue: |_?)?([1-4]\d{3})\)/),
          let code = Int(match.2)
        else { continue }
        #expect(declared[code] == nil, "code \(code) is declared twice: \(file.path)")
        declared[code] = String(match.1)
      }
    }
    var listed: Set<Int> = []
    for line in try Repository.files(in: "Docs", suffix: "Errors.md").flatMap(\.lines) {
      guard let match = line.firstMatch(of: /^\| *([1-4]\d{3}) *\|/), let code = Int(match.1)
      else { continue }
      #expect(listed.insert(code).inserted, "code \(code) is listed twice")
    }
    let missing = declared.keys.filter { !listed.contains($0) }.sorted()
    let unknown = listed.filter { declared[$0] == nil }.sorted()
    #expect(
      missing.isEmpty, "not in Docs/Errors.md: \(missing.map { "\($0) \(declared[$0] ?? "")" })")
    #expect(unknown.isEmpty, "listed in Docs/Errors.md but not declared: \(unknown)")
    #expect(!declared.isEmpty)
  }
}
