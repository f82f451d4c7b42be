import ArgumentParser
import Foundation
import KVBase
import SpineServices

/// `spine prescription`: single messages.
struct PrescriptionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prescription", abstract: "Send one message about a prescription.",
    discussion: """
      Every message has an identifier; give the same --message again to send the same message again:
      it gets the same reply and changes nothing.

      Examples:
        spine prescription upload bundle.json
        spine prescription release 24F5DA-A83008-7EFE6Z --ods FA565
        spine prescription dispense 24F5DA-A83008-7EFE6Z --ods FA565
        spine prescription dispense 24F5DA-A83008-7EFE6Z --ods FA565 --line 1=0001 --line 2=0003
        spine prescription claim 24F5DA-A83008-7EFE6Z --ods FA565
        spine prescription cancel 24F5DA-A83008-7EFE6Z --ods A83008 --nhs 9449304130 --reason 0001
      """,
    subcommands: [
      Upload.self, Release.self, NominatedRelease.self, Return.self, Dispense.self, Claim.self,
      Cancel.self, Show.self,
    ])

  /// Who sends a message, and under which identifier.
  struct Sender: ParsableArguments {
    @Option(help: "The ODS code of the organisation that sends it.")
    var ods: String

    @Option(help: "The message's identifier, a UUID. (default: a new one)")
    var message: String?

    func envelope(body: Bytes = []) throws -> Envelope {
      guard let code = ODSCode(ods) else { throw ValidationError("'\(ods)' is no ODS code") }
      return Envelope(
        messageID: try messageID(message), agent: Agent(organisation: code.text), body: body)
    }
  }

  struct Upload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Upload a signed bundle.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The file of the prescription-order bundle.") var file: String

    func run() async throws {
      let bytes = Bytes(try Data(contentsOf: URL(fileURLWithPath: file)))
      guard case .order(let result, _) = FHIRMessage(bytes) else {
        throw ValidationError("\(file) is no prescription-order bundle")
      }
      try await cluster.withSpine { spine in
        let signed = try result.get()
        let envelope = Envelope(messageID: signed.messageID, agent: signed.agent, body: bytes)
        show(try await spine.prescriptions.upload(signed.order, envelope), cluster.format)
      }
    }
  }

  struct Release: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Release a prescription to the dispenser who knows its identifier.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender
    @Argument(help: "The prescription's identifier.") var id: String
    @Option(help: "Write the signed document to this file.") var output: String?

    func run() async throws {
      let envelope = try sender.envelope()
      try await cluster.withSpine { spine in
        let released = try await spine.prescriptions.release(id, envelope)
        if let output { try Data(released.document).write(to: URL(fileURLWithPath: output)) }
        show(released.reply, cluster.format)
      }
    }
  }

  struct NominatedRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Release up to 25 prescriptions that wait for a nominated dispenser.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender

    func run() async throws {
      let envelope = try sender.envelope()
      try await cluster.withSpine { spine in
        do {
          let released = try await spine.prescriptions.nominatedRelease(envelope)
          if cluster.format == .json {
            printJSON(released.map(\.reply.parameters))
          } else {
            for one in released { print(one.reply.parameters["prescriptionID"] ?? "") }
          }
        } catch let error as SpineError where error.spine == .noMorePrescriptions {
          print(cluster.format == .json ? "[]" : "\(error)")
        }
      }
    }
  }

  struct Return: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Return a released prescription to the Spine.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender
    @Argument(help: "The prescription's identifier.") var id: String
    @Option(help: "0001 did not attend … 0003 patient asked … 0008 expired.") var reason = "0003"

    func run() async throws {
      let envelope = try sender.envelope()
      try await cluster.withSpine { spine in
        show(
          try await spine.prescriptions.giveBack(id, reason: reason, envelope), cluster.format)
      }
    }
  }

  struct Dispense: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Report what was dispensed; every item in full unless said otherwise.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender
    @Argument(help: "The prescription's identifier.") var id: String
    @Option(
      name: .long,
      help:
        "An item's number or identifier and its status: 0001 dispensed, 0002 not, 0003 partial, 0004 owing."
    )
    var line: [String] = []

    func run() async throws {
      let envelope = try sender.envelope()
      try await cluster.withSpine { spine in
        guard let record = try await spine.prescriptions.record(id) else {
          throw ValidationError("there is no prescription \(id)")
        }
        let items = record.instances[record.prescription.currentInstance]?.lineItems ?? []
        let asked = try statuses()
        let lines = items.map { item in
          let status = asked[String(item.order)] ?? asked[item.id]
          return DispenseNotification.Line(
            id: item.id, status: status ?? (item.status.isActive ? .dispensed : item.status))
        }
        let notification = DispenseNotification(
          lines: lines, issueCount: record.prescription.maxRepeats?.value)
        show(
          try await spine.prescriptions.dispense(id, notification, envelope), cluster.format)
      }
    }

    private func statuses() throws -> [String: LineStatus] {
      var statuses: [String: LineStatus] = [:]
      for text in line {
        let parts = text.split(separator: "=").map(String.init)
        guard parts.count == 2, let status = LineStatus(rawValue: parts[1]) else {
          throw ValidationError("'\(text)' is no item and status, such as 1=0003")
        }
        statuses[parts[0]] = status
      }
      return statuses
    }
  }

  struct Claim: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Claim payment for a dispensed issue.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender
    @Argument(help: "The prescription's identifier.") var id: String
    @Option(help: "The issue. (default: the one dispensed last)") var issue: Int?

    func run() async throws {
      let envelope = try sender.envelope()
      try await cluster.withSpine { spine in
        show(try await spine.prescriptions.claim(id, issue: issue, envelope), cluster.format)
      }
    }
  }

  struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Cancel a prescription, or one item of it.")
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var sender: Sender
    @Argument(help: "The prescription's identifier.") var id: String
    @Option(help: "The patient's NHS number.") var nhs: String
    @Option(help: "The identifier of one item. (default: all)") var line: String?
    @Option(help: "0001 prescribing error … 0009 deducted.") var reason = "0001"

    func run() async throws {
      let envelope = try sender.envelope()
      let instruction = CancelInstruction(
        prescriptionID: id, nhsNumber: nhs, lineID: line, reason: reason)
      try await cluster.withSpine { spine in
        show(try await spine.prescriptions.cancel(instruction, envelope), cluster.format)
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a prescription's record.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "The prescription's identifier.") var id: String

    func run() async throws {
      try await cluster.withSpine { spine in
        guard let record = try await spine.prescriptions.record(id) else {
          throw ValidationError("there is no prescription \(id)")
        }
        if cluster.format == .json { printJSON(record) } else { print(describe(record)) }
      }
    }

    private func describe(_ record: PrescriptionRecord) -> String {
      var lines = [
        "\(record.prescription.prescriptionID) for \(record.patient.nhsNumber), change \(record.scn)"
      ]
      for number in record.issueNumbers {
        guard let issue = record.instances[String(number)] else { continue }
        let mark = number == record.currentIssue ? "*" : " "
        let status = issue.prescriptionStatus
        lines.append("\(mark) issue \(number): \(status.rawValue) \(status.displayName)")
        for line in issue.lineItems {
          lines.append("    \(line.id) \(line.status.rawValue) \(line.status.displayName)")
        }
      }
      for (message, entry) in record.changeLog.sorted(by: { $0.value.scn < $1.value.scn }) {
        lines.append(
          "  \(entry.scn) \(entry.timestamp) \(entry.interactionID) \(entry.fromStatus ?? "-") → "
            + "\(entry.toStatus ?? "-") \(message)")
      }
      return lines.joined(separator: "\n")
    }
  }
}

/// The identifier given, or a new one.
func messageID(_ text: String?) throws -> MessageID {
  guard let id = MessageID(text ?? UUID().uuidString) else {
    throw ValidationError("'\(text ?? "")' is no UUID")
  }
  return id
}

private func show(_ reply: PrescriptionReply, _ format: OutputFormat) {
  guard format == .table else { return printJSON(reply.parameters) }
  print(reply.text + (reply.isReplay ? " (given before)" : ""))
  for (name, value) in reply.parameters.sorted(by: { $0.key < $1.key }) where name != "responseText"
  {
    print("  \(name): \(value)")
  }
}
