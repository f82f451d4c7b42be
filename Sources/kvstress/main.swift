import ArgumentParser

/// Kills a process that writes to a store, again and again, and checks what the store still holds.
struct StressCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvstress",
    abstract:
      "Kills a writing process with SIGKILL and verifies that nothing acknowledged is lost.",
    subcommands: [RunCommand.self, WriteCommand.self], defaultSubcommand: RunCommand.self)
}

StressCommand.main()
