import ArgumentParser
import Foundation
import KVServer

/// The command `ring-admin aae-fold`.
struct FoldCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aae-fold",
    abstract: "Count, find, repair or erase objects by what their heads tell.",
    discussion: """
      statistics counts objects, sizes and siblings; siblings and size find the objects over
      --more-than; tombstones finds what is deleted; repair reads every object from all replicas;
      erase deletes every object. At most 10,000 objects are named, repaired or erased at a time.

      EXAMPLES
        ring-admin aae-fold statistics
        ring-admin aae-fold siblings --more-than 1 --bucket patients
        ring-admin aae-fold size --more-than 1000000 --format json
        ring-admin aae-fold repair --bucket patients --from 1 --through 2
      """)
  @Argument(
    help: ArgumentHelp(
      AdminDocument.Fold.Kind.allCases.map(\.rawValue).joined(separator: ", ") + ".",
      valueName: "kind"))
  var kind: AdminDocument.Fold.Kind
  @Option(help: "A bucket type; needs --bucket.")
  var type: String?
  @Option(help: "A bucket; all if left out.")
  var bucket: String?
  @Option(help: "The first key.")
  var from: String?
  @Option(help: "The last key.")
  var through: String?
  @Option(help: "Siblings, or bytes.")
  var moreThan: Int?
  @OptionGroup var options: NodeOptions

  func validate() throws {
    if bucket == nil, kind == .repair || kind == .erase {
      throw ValidationError("\(kind.rawValue) needs --bucket.")
    }
    if bucket == nil, type != nil || from != nil || through != nil {
      throw ValidationError("--type, --from and --through need --bucket.")
    }
  }

  func run() throws {
    var fold = AdminDocument.Fold(kind: kind)
    (fold.type, fold.bucket, fold.moreThan) = (type, bucket, moreThan)
    (fold.from, fold.through) = (from, through)
    let answer = try options.client.post(
      "/admin/fold", body: fold, as: AdminDocument.FoldAnswer.self)
    try options.show(answer, AdminTables.fold)
  }
}

extension AdminDocument.Fold.Kind: ExpressibleByArgument {}
