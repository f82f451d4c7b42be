import ArgumentParser
import KVClient

/// Clients of a real cluster that know what it has promised.
@main
struct KVTorture: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvtorture",
    abstract: "Uses a real cluster while it is ill-treated, and checks that it keeps its promises.",
    subcommands: [LoadCommand.self, ReleasesCommand.self], defaultSubcommand: LoadCommand.self)
}

/// Where the cluster is.
struct NodesOption: ParsableArguments {
  @Option(help: "A node's protobuf port, host:port; repeat for each node.")
  var endpoint: [String]

  /// A client's configuration for these nodes, with short time-outs: nodes come and go.
  func configuration() throws -> KVClientConfiguration {
    var configuration = KVClientConfiguration(
      endpoints: try endpoint.map { text in
        guard let endpoint = KVEndpoint(text) else {
          throw ValidationError("'\(text)' is no endpoint; expected host:port")
        }
        return endpoint
      })
    configuration.requestTimeout = .seconds(5)
    configuration.connectTimeout = .seconds(1)
    return configuration
  }
}
