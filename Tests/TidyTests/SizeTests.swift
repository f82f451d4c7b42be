import Testing

@Suite struct SizeTests {
  /// Today's largest numbers.
  ///
  /// They may shrink, and are then lowered here; they may not grow.
  static let longestFile = 500
  static let longFunctions = 0
  static let functionLines = 70

  @Test func `files stay a sitting long`() throws {
    for file in try Repository.files(in: "Sources", suffix: ".swift") where !file.isGenerated {
      #expect(
        file.lines.count <= Self.longestFile + 1,
        "\(file.path) has \(file.lines.count) lines: split it")
    }
  }

  @Test func `functions stay a screen long`() throws {
    var long: [String] = []
    for file in try Repository.files(in: "Sources", suffix: ".swift") where !file.isGenerated {
      for function in functions(of: file) where function.lines > Self.functionLines {
        long.append("\(file.path):\(function.start) \(function.lines) lines")
      }
    }
    #expect(long.count <= Self.longFunctions, "\(long.joined(separator: "\n"))")
  }

  /// The functions of a formatted file: from a line that declares one to the brace in its column.
  private func functions(of file: Repository.File) -> [(start: Int, lines: Int)] {
    var found: [(Int, Int)] = []
    for (index, line) in file.lines.enumerated() {
      guard
        line.contains(
          /^\s*(@\w+ )*((public|package|private|fileprivate|internal|static|mutating|final|override|nonisolated|convenience|required) )*(func |init[(?<]|deinit)/
        )
      else { continue }
      if line.contains("{"), line.hasSuffix("}") { continue }
      // The requirement of a protocol has no body; an empty line follows.
      let opening = file.lines[index...].prefix { !$0.isEmpty }
      guard opening.contains(where: { $0.hasSuffix("{") }) else { continue }
      let indent = line.prefix { $0 == " " }
      guard
        let end = file.lines[index...].firstIndex(where: { $0.hasPrefix(indent + "}") })
      else { continue }
      found.append((index + 1, end - index + 1))
    }
    return found
  }
}
