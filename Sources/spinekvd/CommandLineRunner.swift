import ArgumentParser
import Foundation

/// Runs a command line with this program's exit codes in place of the parser's.
enum CommandLineRunner {
  /// Parses and runs; returns the exit code, having printed what there is to say.
  static func run(_ root: any ParsableCommand.Type) async -> Int32 {
    do {
      var command = try root.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      return 0
    } catch {
      let code = root.exitCode(for: error)
      let text = root.fullMessage(for: error)
      if !text.isEmpty {
        let handle = code == .success ? FileHandle.standardOutput : FileHandle.standardError
        handle.write(Data((text + "\n").utf8))
      }
      return code == .validationFailure ? 2 : code.rawValue
    }
  }
}
