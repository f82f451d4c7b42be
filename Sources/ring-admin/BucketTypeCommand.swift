import ArgumentParser
import Foundation
import KVServer

/// `ring-admin bucket-type …`: bucket types and their properties.
struct BucketTypeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bucket-type",
    abstract: "Create bucket types and show their properties.",
    discussion: """
      A type is active on every node as soon as it is created; it is never deleted or renamed.

      EXAMPLES
        ring-admin bucket-type create records '{"props":{"n_val":3,"node_confirms":2}}'
        ring-admin bucket-type status records
      """,
    subcommands: [Create.self, Activate.self, Status.self])

  /// The command `bucket-type create`.
  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a bucket type with the given properties.",
      discussion: """
        EXAMPLE
          ring-admin bucket-type create sets '{"props":{"datatype":"set"}}'
        """)
    @Argument(help: "The type's name.") var name: String
    @Argument(help: "Its properties as JSON; the defaults of typed buckets if left out.")
    var properties = #"{"props":{}}"#
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command(bucketTypePath(name), raw: Data(properties.utf8)))
    }
  }

  /// The command `bucket-type activate`, for scripts written for a two-step life cycle.
  struct Activate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check that a bucket type is active; types are from their creation on.",
      discussion: """
        EXAMPLE
          ring-admin bucket-type activate sets
        """)
    @Argument(help: "The type's name.") var name: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      _ = try options.client.get(bucketTypePath(name), as: AdminDocument.BucketType.self)
      try options.show(AdminDocument.Outcome(ok: true, message: "\(name) has been activated"))
    }
  }

  /// The command `bucket-type status`.
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show a bucket type's properties.",
      discussion: """
        EXAMPLE
          ring-admin bucket-type status sets --format json
        """)
    @Argument(help: "The type's name.") var name: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      let type = try options.client.get(bucketTypePath(name), as: AdminDocument.BucketType.self)
      try options.show(type) { type in
        let rows = type.props.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        return "\(type.name) is active\n\n" + AdminTables.stats(rows)
      }
    }
  }
}

private func bucketTypePath(_ name: String) -> String {
  let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-_."))
  return "/admin/bucket-type/"
    + (name.addingPercentEncoding(withAllowedCharacters: allowed) ?? name)
}
