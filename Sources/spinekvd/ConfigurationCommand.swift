import ArgumentParser
import Foundation
import KVServer

/// `spinekvd config`: looks at settings without running a node.
struct ConfigurationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check settings or print the documented defaults.",
    subcommands: [Check.self, Defaults.self])

  /// The command `spinekvd config check`.
  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "check",
      abstract: "Check the settings a node would start with; exit code 2 when any is wrong.")

    @OptionGroup var flags: ConfigurationFlags

    func run() throws {
      _ = try flags.load()
      print("configuration is OK")
    }
  }

  /// The command `spinekvd config defaults`.
  struct Defaults: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "defaults",
      abstract: "Print the commented file of every setting with its default.")

    func run() { print(DefaultFile.text, terminator: "") }
  }
}
