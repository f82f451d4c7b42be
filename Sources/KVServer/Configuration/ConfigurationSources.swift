import Foundation

/// Where a command line says that settings come from.
package struct ConfigurationSources {
  /// The file of `--config`, if any.
  package var file: String?
  /// The process's environment.
  package var environment: [String: String] = [:]
  /// Flags of their own: the key, the flag as messages call it, and its text.
  package var flags: [(key: String, flag: String, text: String)] = []
  /// `key=value` of each `--set`, in order.
  package var assignments: [String] = []

  /// The largest configuration file read, in bytes; a larger one is surely not meant.
  package static let fileByteLimit = 1 << 20

  /// No sources: the defaults.
  package init() {}

  /// The configuration that the sources give together.
  ///
  /// - Throws: `configurationFile` when the file cannot be read, `configuration` with every problem,
  ///   one a line.
  package func load() throws(ServerError) -> ServerConfiguration {
    var loader = ConfigurationLoader()
    if let file { loader.apply(file: try Self.contents(of: file), name: file) }
    loader.apply(environment: environment)
    for flag in flags { loader.apply(flag.text, to: flag.key, at: flag.flag) }
    for assignment in assignments { loader.apply(assignment: assignment) }
    // Settings that do not fit each other are worth a word only when each of them is right.
    if loader.problems.isEmpty { loader.checkTogether() }
    return try loader.result()
  }

  private static func contents(of path: String) throws(ServerError) -> [UInt8] {
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ServerError(.configurationFile, "the file cannot be opened", context: path)
    }
    defer { try? file.close() }
    do {
      let data = try file.read(upToCount: fileByteLimit + 1) ?? Data()
      guard data.count <= fileByteLimit else {
        throw ServerError(
          .configurationFile, "the file is larger than \(fileByteLimit) bytes", context: path)
      }
      return [UInt8](data)
    } catch let error as ServerError {
      throw error
    } catch {
      throw ServerError(.configurationFile, "\(error)", context: path)
    }
  }
}
