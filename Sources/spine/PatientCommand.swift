import ArgumentParser
import Foundation
import KVBase
import SpineServices

/// `spine patient`: read and update demographics.
struct PatientCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "patient", abstract: "Read and update a patient's demographic record.",
    discussion: """
      Examples:
        spine patient get 9000000009
        spine patient update 9000000009 --if-match 2 --patch patch.json
      """,
    subcommands: [Get.self, Update.self])

  struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read a patient by NHS number.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The NHS number.") var number: String
    @Option(help: "The ODS code of the reader.") var ods = "A83008"

    func run() async throws {
      let request = try messageID(nil)
      try await cluster.withSpine { spine in
        let view = try await spine.patients.patient(
          number, by: Agent(organisation: ods), request: request)
        show(view, cluster.format)
      }
    }
  }

  struct Update: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Apply a JSON Patch if the record still has a version.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The NHS number.") var number: String
    @Option(help: "The version the change is based on.") var ifMatch: Int?
    @Option(help: "A file with {\"patches\": [...]}.") var patch: String
    @Option(help: "The request's identifier, a UUID. (default: a new one)") var request: String?
    @Option(help: "The ODS code of the sender.") var ods = "A83008"

    private struct Body: Decodable { var patches: [PatchOperation] }

    func run() async throws {
      let data = try Data(contentsOf: URL(fileURLWithPath: patch))
      let body = try JSONDecoder().decode(Body.self, from: data)
      let id = try messageID(request)
      try await cluster.withSpine { spine in
        let view = try await spine.patients.update(
          number, body.patches, ifMatch: ifMatch.map { "W/\"\($0)\"" }, requestID: id.text,
          by: Agent(organisation: ods))
        show(view, cluster.format)
      }
    }
  }
}

private func show(_ view: PatientView, _ format: OutputFormat) {
  if format == .table { print("ETag: W/\"\(view.version)\"") }
  printJSON(view.resource)
}

/// `spine record`: summaries and large records.
struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Store and read summaries and large records.",
    discussion: """
      A file below the size of one chunk (256 KB) is stored as the patient's summary, unless --large
      is given; larger ones as chunks with a manifest.

      Examples:
        spine record put summary.json --nhs 9000000009
        spine record put extract.json --nhs 9000000009 --large
        spine record get --nhs 9000000009
        spine record get --conversation 0A1FD9EF-A3D5-4E95-84CD-243078A03086 --output extract.json
      """,
    subcommands: [Put.self, Get.self])

  struct Put: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Store a file.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The file.") var file: String
    @Option(help: "The patient's NHS number.") var nhs: String
    @Option(help: "The summary's or conversation's identifier. (default: a new one)") var id:
      String?
    @Flag(help: "Store it as a large record.") var large = false
    @Option(help: "The ODS code of the practice.") var ods = "A83008"

    func run() async throws {
      let number = try nhsNumber(nhs)
      let bytes = Bytes(try Data(contentsOf: URL(fileURLWithPath: file)))
      let name = try messageID(id)
      try await cluster.withSpine { spine in
        if large || bytes.count >= RecordService.chunkByteCount {
          let manifest = try await spine.records.putRecord(
            bytes, conversation: name, for: number, contentType: "application/fhir+json")
          print(
            "\(name): \(manifest.byteCount) bytes in \(manifest.chunks.count) chunks, SHA-256 \(manifest.hash)"
          )
        } else {
          try await spine.records.putSummary(
            bytes, id: name, for: number, by: Agent(organisation: ods))
          print("\(name): \(bytes.count) bytes, now the summary of \(number)")
        }
      }
    }
  }

  struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read a summary or a large record.")
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "The patient whose summary is wanted.") var nhs: String?
    @Option(help: "The conversation of the large record wanted.") var conversation: String?
    @Option(help: "Write to this file. (default: standard output)") var output: String?
    @Option(help: "The ODS code of the reader.") var ods = "A83008"

    func run() async throws {
      try await cluster.withSpine { spine in
        let content: Bytes?
        if let conversation {
          content = try await spine.records.record(try messageID(conversation))?.content
        } else {
          let number = try nhsNumber(nhs ?? "")
          guard let id = try await spine.records.currentSummary(of: number) else {
            throw ValidationError("\(number) has no summary")
          }
          content = try await spine.records.summary(
            id, of: number, by: Agent(organisation: ods), request: try messageID(nil))
        }
        guard let content else { throw ValidationError("there is no such record") }
        if let output {
          try Data(content).write(to: URL(fileURLWithPath: output))
        } else {
          FileHandle.standardOutput.write(Data(content))
        }
      }
    }
  }
}

private func nhsNumber(_ text: String) throws -> NHSNumber {
  guard let number = NHSNumber(text) else { throw ValidationError("'\(text)' is no NHS number") }
  return number
}
