import ArgumentParser
import Foundation
import KVBase
import SpineServices

/// `spine load`: FHIR files into the cluster.
struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Load FHIR files: patients and signed prescriptions.",
    discussion: """
      Walks PATH and recognises every JSON file by its content. Patient resources are created;
      signed prescription-order bundles are uploaded, each then released, dispensed and claimed
      (every issue that can be had now); other messages are checked and not applied.

      A broken order is rejected with its published code: 0010 for none or more than four items,
      5009 for a wrong check character, 0003 for a missing signature (as $prepare requests have
      none), INVALID_VALUE, and so on. A second bundle under the same message identifier gets the
      first one's reply, as a message sent twice does; a different message for a prescription that
      is already there is rejected as 0002 DUPLICATE_PRESCRIPTION_ID. Loading again changes nothing.

      Exit status 1 when an accepted prescription could not be released, dispensed and claimed, or
      the cluster failed; rejections alone are no failure.

      Example:
        spine load ../shared/data/eps --endpoint 127.0.0.1:8087
      """)

  @OptionGroup var cluster: ClusterOptions

  @Argument(help: "A folder or a file.")
  var path: String

  @Flag(
    inversion: .prefixedNo, help: "Release, dispense and claim each accepted prescription.")
  var lifecycle = true

  @Option(help: "The ODS code of the dispenser of prescriptions without a nomination.")
  var dispenser = "VNE51"

  @Flag(help: "List only prescriptions and patients, not the files that were merely recognised.")
  var brief = false

  func run() async throws {
    let files = try readFiles()
    try await cluster.withSpine { spine in
      try await spine.prepare()
      let loader = Loader(spine: spine, runsLifecycle: lifecycle, dispenser: dispenser)
      let rows = await loader.load(files)
      if cluster.format == .json { printJSON(rows) } else { show(rows) }
      if rows.contains(where: { $0.outcome == .failed }) { throw ExitCode(1) }
    }
  }

  private func readFiles() throws -> [(name: String, bytes: Bytes)] {
    let root = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isFolder) else {
      throw ValidationError("there is no '\(path)'")
    }
    guard isFolder.boolValue else {
      return [(root.lastPathComponent, Bytes(try Data(contentsOf: root)))]
    }
    let walk = FileManager.default.enumerator(atPath: root.path)
    let names = (walk?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".json") }
    return try names.sorted().map {
      ($0, Bytes(try Data(contentsOf: root.appendingPathComponent($0))))
    }
  }

  private func show(_ rows: [LoadRow]) {
    var table = TextTable(header: ["File", "Kind", "Id", "Result", "Code", "Life", "Note"])
    for row in rows where !brief || ["order", "patient"].contains(row.kind) {
      table.rows.append([
        shortened(row.file), row.kind, row.id, row.outcome.rawValue, row.code,
        row.steps.joined(separator: ", "), row.note,
      ])
    }
    print(table.text)
    let counts = Dictionary(grouping: rows, by: \.outcome).mapValues(\.count)
    let orders = rows.filter { $0.kind == "order" }
    let accepted = orders.filter { $0.outcome == .accepted }
    print("")
    print(
      "\(rows.count) files: "
        + [LoadRow.Outcome.accepted, .rejected, .checked, .skipped, .failed]
        .map { "\(counts[$0] ?? 0) \($0.rawValue)" }.joined(separator: ", "))
    print(
      "orders: \(accepted.count) accepted (\(Set(accepted.map(\.id)).count) prescriptions), "
        + "\(orders.count { $0.outcome == .rejected }) rejected, "
        + "\(orders.count { $0.outcome == .failed }) failed")
  }

  /// A path short enough for a table: its last parts.
  private func shortened(_ file: String) -> String {
    file.count <= 76 ? file : "…" + file.suffix(75)
  }
}
