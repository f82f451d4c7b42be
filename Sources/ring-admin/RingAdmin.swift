import ArgumentParser
import Foundation
import KVServer

/// `ring-admin`: looks after a cluster through one of its nodes.
struct RingAdmin: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ring-admin",
    abstract: "Look after a SpineKV cluster through the HTTP port of one of its nodes.",
    discussion: """
      EXAMPLES
        ring-admin ping
        ring-admin --help
        ring-admin cluster join 10.0.0.1:8099 --node 10.0.0.2:8098
        ring-admin cluster plan
        ring-admin cluster commit
        ring-admin member-status --format json
        ring-admin stat 'node_get*'
        ring-admin store verify /var/lib/spinekv

      EXIT CODES
        0 done   1 refused or failed   2 wrong command line   3 node unreachable
      """,
    version: ServerVersion.text,
    subcommands: [
      ClusterCommand.self, RingStatus.self, MemberStatusCommand.self, Transfers.self,
      TransferLimit.self, AAEStatus.self, FoldCommand.self, Down.self, Stat.self, Ping.self,
      BucketCommand.self,
      BucketTypeCommand.self, StoreCommand.self,
    ])

  /// Parses and runs; returns this program's exit code.
  static func runCommandLine() -> Int32 {
    do {
      var command = try parseAsRoot()
      try command.run()
      return 0
    } catch let failure as CommandFailure {
      FileHandle.standardError.write(Data((failure.message + "\n").utf8))
      return failure.exitCode
    } catch {
      let code = exitCode(for: error)
      let handle = code == .success ? FileHandle.standardOutput : FileHandle.standardError
      handle.write(Data((fullMessage(for: error) + "\n").utf8))
      return code == .validationFailure ? 2 : code.rawValue
    }
  }
}

/// Which node is asked and how the answer is printed.
struct NodeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("HTTP address of the node to ask.", valueName: "host:port"))
  var node = "127.0.0.1:8098"

  @Option(help: "text, or json for programs.")
  var format = OutputFormat.text

  @Option(help: ArgumentHelp("Seconds to wait for the answer.", valueName: "seconds"))
  var timeout = 30

  func validate() throws {
    guard timeout > 0 else { throw ValidationError("--timeout must be at least 1.") }
    guard node.split(separator: ":").count >= 2 else {
      throw ValidationError("--node must be host:port, not '\(node)'.")
    }
  }

  var client: NodeClient { NodeClient(address: node, timeout: Double(timeout)) }

  /// Prints the document as JSON or as the text made of it.
  func show<Document: Encodable>(_ document: Document, _ text: (Document) -> String) throws {
    switch format {
    case .text: print(text(document), terminator: "")
    case .json:
      print(String(decoding: try AdminDocument.encoder.encode(document), as: UTF8.self))
    }
  }

  /// Prints what became of a command.
  func show(_ outcome: AdminDocument.Outcome) throws {
    try show(outcome) { $0.message + "\n" }
  }
}

/// How answers are printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
}

/// Why a command did not succeed.
struct CommandFailure: Error {
  var message: String
  var exitCode: Int32

  static func refused(_ message: String) -> CommandFailure {
    CommandFailure(message: message, exitCode: 1)
  }

  static func unreachable(_ address: String, _ why: String) -> CommandFailure {
    CommandFailure(
      message: "Node is not running! No answer from http://\(address): \(why)", exitCode: 3)
  }
}
