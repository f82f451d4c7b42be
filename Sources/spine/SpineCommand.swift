import ArgumentParser
import Foundation
import KVClient
import SpineServices

/// The Spine services from a shell.
@main
struct SpineCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spine", abstract: "The Spine services on a SpineKV cluster.",
    discussion: """
      Examples:
        spine load ../shared/data/eps
        spine prescription show 24F5DA-A83008-7EFE6Z
        spine prescription nominated-release --ods FA565
        spine patient get 9000000009
        spine demo --endpoint 127.0.0.1:8087 --http 127.0.0.1:8098

      Exit status: 0 done; 1 refused with a published code, or something was lost; 2 the cluster did
      not answer; 64 wrong usage.
      """,
    subcommands: [
      LoadCommand.self, DemoCommand.self, PrescriptionCommand.self, PatientCommand.self,
      RecordCommand.self,
    ])
}

/// Where the cluster is, and how to print.
struct ClusterOptions: ParsableArguments {
  @Option(
    name: .long,
    help: "A node's protobuf port, host:port; repeat for several. (default: 127.0.0.1:8087)")
  var endpoint: [String] = []

  @Option(help: "How to print results: table or json.")
  var format: OutputFormat = .table

  /// The nodes to talk to.
  func endpoints() throws -> [KVEndpoint] {
    try (endpoint.isEmpty ? ["127.0.0.1:8087"] : endpoint).map { text in
      guard let endpoint = KVEndpoint(text) else {
        throw ValidationError(
          "'\(text)' is no endpoint; expected host:port, such as 127.0.0.1:8087")
      }
      return endpoint
    }
  }

  /// Runs `body` with the services, and turns their errors into exit statuses.
  func withSpine(_ body: (Spine) async throws -> Void) async throws {
    let client = KVClient(configuration: .init(endpoints: try endpoints()))
    do {
      try await body(Spine(store: ClientBucketStore(client: client)))
      await client.close()
    } catch let error as SpineError {
      await client.close()
      report(error)
      throw ExitCode(error.spine == nil ? 2 : 1)
    }
  }

  private func report(_ error: SpineError) {
    if format == .json {
      var fields = [
        "error": error.spine?.name ?? "\(error.code.rawValue)", "message": error.message,
      ]
      if let number = error.spine?.number, !number.isEmpty { fields["code"] = number }
      printJSON(fields.merging(error.detail) { a, _ in a })
    } else {
      FileHandle.standardError.write(Data("spine: \(error)\n".utf8))
    }
  }
}

/// How results are printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case table
  case json
}

/// Prints a line at once, also into a pipe: scripts wait for marks in the output.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

/// Prints a value as JSON with sorted keys.
func printJSON(_ value: some Encodable) {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
  guard let data = try? encoder.encode(value) else { return }
  print(String(decoding: data, as: UTF8.self))
}

/// Rows of text in columns as wide as they need to be.
struct TextTable {
  let header: [String]
  var rows: [[String]] = []

  /// The table with its header and a rule under it.
  var text: String {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      let padded = zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
      return String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
    }
    let rule = widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
    return ([line(header), rule] + rows.map(line)).joined(separator: "\n")
  }
}
