import ArgumentParser
import Foundation
import KVServer
import Logging

/// `spinekvd`: the node daemon.
struct SpineKVD: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spinekvd",
    abstract: "A node of a SpineKV cluster.",
    discussion: """
      EXAMPLES
        spinekvd --data-dir /var/lib/spinekv
        spinekvd --config /etc/spinekv.toml --set log.level=debug
        SPINEKV_NODE_NAME=spinekv1@10.0.0.1 spinekvd --config spinekv.toml
        spinekvd config defaults > spinekv.toml
        spinekvd config check --config spinekv.toml

      SETTINGS
        Later sources override earlier ones: built-in defaults, the file of --config (or
        SPINEKV_CONFIG), environment variables SPINEKV_TABLE_KEY, flags, --set.

      SIGNALS
        SIGTERM, SIGINT  stop in order: finish requests, flush, exit 0.

      EXIT CODES
        0 stopped in order   1 other failure   2 wrong command line or setting
        3 data directory in use or made with other fixed settings
        4 an address cannot be listened on     5 a store failed
        6 the stop was not in order
      """,
    version: ServerVersion.text, subcommands: [Run.self, ConfigurationCommand.self],
    defaultSubcommand: Run.self)
}

/// The flags from which a configuration is made.
struct ConfigurationFlags: ParsableArguments {
  @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
  var config: String?

  @Option(
    help: ArgumentHelp("Override one setting; may be repeated.", valueName: "key=value"))
  var set: [String] = []

  @Option(help: "node.name: the node's name, name@host.")
  var name: String?

  @Option(help: "node.data_dir: the directory of everything the node stores.")
  var dataDir: String?

  @Option(help: "node.shards: shards of a new data directory, 0 for one per processor.")
  var shards: String?

  @Option(help: "node.ring_size: partitions of a new ring.")
  var ringSize: String?

  @Option(help: ArgumentHelp("listen.client: protobuf address.", valueName: "host:port"))
  var client: String?

  @Option(help: ArgumentHelp("listen.http: HTTP address.", valueName: "host:port"))
  var http: String?

  @Option(help: ArgumentHelp("listen.peer: address for other nodes.", valueName: "host:port"))
  var peer: String?

  @Option(help: "log.level: debug, info, warning or error.")
  var logLevel: String?

  @Option(help: "log.format: text or json.")
  var logFormat: String?

  /// The sources that the flags name, with the process's environment.
  var sources: ConfigurationSources {
    var sources = ConfigurationSources()
    sources.environment = ProcessInfo.processInfo.environment
    sources.file = config ?? sources.environment["SPINEKV_CONFIG"]
    let named = [
      ("node.name", "--name", name), ("node.data_dir", "--data-dir", dataDir),
      ("node.shards", "--shards", shards), ("node.ring_size", "--ring-size", ringSize),
      ("listen.client", "--client", client), ("listen.http", "--http", http),
      ("listen.peer", "--peer", peer), ("log.level", "--log-level", logLevel),
      ("log.format", "--log-format", logFormat),
    ]
    for (key, flag, text) in named {
      if let text { sources.flags.append((key, flag, text)) }
    }
    sources.assignments = set
    return sources
  }

  /// The configuration, or the end of the program with what is wrong.
  func load() throws -> ServerConfiguration {
    do throws(ServerError) {
      return try sources.load()
    } catch {
      throw Failure(error).reported()
    }
  }
}

/// A failure that ends the program, with its exit code.
struct Failure {
  var error: ServerError

  init(_ error: ServerError) { self.error = error }

  private var exitCode: Int32 {
    switch error.code {
    case .configuration, .configurationFile: 2
    case .locked, .identityMismatch: 3
    case .bind: 4
    case .store: 5
    case .stopTimeout: 6
    default: 1
    }
  }

  /// Prints what is wrong and returns the exit.
  func reported() -> ExitCode {
    FileHandle.standardError.write(Data("spinekvd: \(error)\n".utf8))
    return ExitCode(exitCode)
  }
}
