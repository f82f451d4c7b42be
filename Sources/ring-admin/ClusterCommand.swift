import ArgumentParser
import KVServer

/// `ring-admin cluster …`: staged changes of the membership.
struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Stage, plan and commit changes of the membership.",
    discussion: """
      Changes are staged first, then shown by plan, then applied by commit.

      EXAMPLES
        ring-admin cluster join 127.0.0.1:8099 --node 127.0.0.1:8198
        ring-admin cluster plan
        ring-admin cluster commit
      """,
    subcommands: [
      Join.self, Leave.self, ForceRemove.self, Replace.self, Location.self, Plan.self, Commit.self,
      Clear.self, Status.self,
    ])

  /// The command `cluster join`.
  struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stage the join of the node asked to the cluster of another node.",
      discussion: """
        EXAMPLE (the node with HTTP port 8198 joins the cluster of the one with peer port 8099)
          ring-admin cluster join 127.0.0.1:8099 --node 127.0.0.1:8198
        """)
    @Argument(help: ArgumentHelp("Peer address of any member.", valueName: "host:peerport"))
    var peer: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command("/admin/cluster/join", AdminDocument.Target(peer: peer)))
    }
  }

  /// The command `cluster leave`.
  struct Leave: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stage the departure of a member, which first hands its data to the others.",
      discussion: """
        EXAMPLES
          ring-admin cluster leave
          ring-admin cluster leave spinekv3@127.0.0.1
        """)
    @Argument(help: ArgumentHelp("The member; the node asked if left out.", valueName: "name"))
    var name: String?
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command("/admin/cluster/leave", AdminDocument.Target(node: name)))
    }
  }

  /// The command `cluster force-remove`.
  struct ForceRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "force-remove",
      abstract: "Stage the removal of a member without its help; its replicas are given up.",
      discussion: """
        EXAMPLE
          ring-admin cluster force-remove spinekv3@127.0.0.1
        """)
    @Argument(help: ArgumentHelp("The member.", valueName: "name"))
    var name: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command(
          "/admin/cluster/force-remove", AdminDocument.Target(node: name)))
    }
  }

  /// The command `cluster replace`.
  struct Replace: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stage the replacement of a member by one that has just been staged to join.",
      discussion: """
        EXAMPLE
          ring-admin cluster replace spinekv3@127.0.0.1 spinekv4@127.0.0.1
        """)
    @Argument(help: ArgumentHelp("The member that goes.", valueName: "old"))
    var old: String
    @Argument(help: ArgumentHelp("The member that takes over.", valueName: "new"))
    var new: String
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(
        try options.client.command(
          "/admin/cluster/replace", AdminDocument.Target(node: old, with: new)))
    }
  }

  /// The command `cluster location`.
  struct Location: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stage a member's rack or site; replicas are kept at different ones.",
      discussion: """
        EXAMPLES
          ring-admin cluster location rack1 --member spinekv3@127.0.0.1
          ring-admin cluster location ''
        """)
    @Argument(help: "The rack or site; an empty text takes it away.") var location: String
    @Option(help: ArgumentHelp("The member; the node asked if left out.", valueName: "name"))
    var member: String?
    @OptionGroup var options: NodeOptions

    func run() throws {
      var target = AdminDocument.Target(node: member)
      target.location = location
      try options.show(try options.client.command("/admin/cluster/location", target))
    }
  }

  /// The command `cluster plan`.
  struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what committing the staged changes would do.",
      discussion: """
        EXAMPLE
          ring-admin cluster plan --format json
        """)
    @OptionGroup var options: NodeOptions

    func run() throws {
      let plan = try options.client.post("/admin/cluster/plan", as: AdminDocument.Plan.self)
      try options.show(plan, AdminTables.plan)
    }
  }

  /// The command `cluster commit`.
  struct Commit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Apply the staged changes as last planned.",
      discussion: """
        EXAMPLE
          ring-admin cluster plan && ring-admin cluster commit
        """)
    @OptionGroup var options: NodeOptions

    func run() throws { try options.show(try options.client.command("/admin/cluster/commit")) }
  }

  /// The command `cluster clear`.
  struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Drop the staged changes.",
      discussion: """
        EXAMPLE
          ring-admin cluster clear
        """)
    @OptionGroup var options: NodeOptions

    func run() throws { try options.show(try options.client.command("/admin/cluster/clear")) }
  }

  /// The command `cluster status`.
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Members, their availability and their shares of the ring.",
      discussion: """
        EXAMPLE
          ring-admin cluster status
        """)
    @OptionGroup var options: NodeOptions

    func run() throws {
      try options.show(try options.client.status(), AdminTables.clusterStatus)
    }
  }
}

extension NodeClient {
  /// The cluster as the node sees it.
  func status() throws -> AdminDocument.Status {
    try get("/admin/status", as: AdminDocument.Status.self)
  }
}
