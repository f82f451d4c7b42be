import Foundation

/// The repository's own text, for tests that check it.
struct Repository {
  struct File {
    /// The path from the root, such as `Sources/KVBase/Time.swift`.
    var path: String
    var lines: [String]

    var isGenerated: Bool { path.hasSuffix(".pb.swift") }

    /// The path's component after `Sources` or `Tests`.
    var module: String { String(path.split(separator: "/").dropFirst().first ?? "") }
  }

  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The text files below `folder` whose names end in `suffix`, sorted by path.
  static func files(in folder: String, suffix: String) throws -> [File] {
    let base = root.appending(path: folder)
    guard let names = FileManager.default.enumerator(atPath: base.path) else { return [] }
    var files: [File] = []
    for case let name as String in names
    where name.hasSuffix(suffix)
      && !name.split(separator: "/").contains(where: { $0.hasPrefix(".") })
    {
      var isDirectory: ObjCBool = false
      let url = base.appending(path: name)
      guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
        !isDirectory.boolValue
      else { continue }
      let text = try String(contentsOf: url, encoding: .utf8)
      files.append(
        File(path: "\(folder)/\(name)", lines: text.components(separatedBy: "\n")))
    }
    return files.sorted { $0.path < $1.path }
  }
}
