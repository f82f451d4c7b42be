import ArgumentParser

/// The project's benchmarks; each subcommand prints a table and can write JSON.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spinekv-bench", abstract: "Measures SpineKV, side by side with its peers.",
    subcommands: [
      StorageCommand.self, StorageCurvesCommand.self, StorageChildCommand.self, CodecCommand.self,
      ClusterCommand.self,
    ])
}

BenchCommand.main()
