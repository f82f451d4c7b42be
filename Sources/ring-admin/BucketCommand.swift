import ArgumentParser
import KVServer

/// `ring-admin bucket …`: whole buckets.
struct BucketCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bucket",
    abstract: "Drop whole buckets.",
    discussion: """
      EXAMPLE
        ring-admin bucket drop default sessions
      """,
    subcommands: [Drop.self])

  /// The command `bucket drop`.
  struct Drop: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Drop everything that a bucket holds, on all nodes; it cannot be undone.",
      discussion: """
        What was written before the command is gone for readers as soon as a node knows of it, and is \
        removed from its disk in the background. What is written afterwards stays. Docs/Deletes.md \
        says what becomes of writes at the same moment.

        EXAMPLE
          ring-admin bucket drop default sessions
        """)
    @Argument(help: "The bucket's type; 'default' for an untyped bucket.") var type: String
    @Argument(help: "The bucket's name.") var bucket: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command(
          "/admin/bucket/drop", AdminDocument.Target(type: type, bucket: bucket)))
    }
  }
}
