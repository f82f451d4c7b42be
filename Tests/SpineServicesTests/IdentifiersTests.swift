import Testing

@testable import SpineServices

@Suite struct IdentifiersTests {
  @Test(arguments: [
    "9000000009", "9000000017", "9000000025", "9000000033", "943 476 5919", "9111231130",
    "9990406707",
  ])
  func `NHS numbers with the right check digit are valid`(text: String) {
    #expect(NHSNumber(text) != nil)
  }

  @Test(arguments: [
    "9000000000", "9000000018", "9000000015", "9999999999", "0000000000", "900000000",
    "90000000099", "9000000x09", "",
  ])
  func `other NHS numbers are not`(text: String) { #expect(NHSNumber(text) == nil) }

  @Test func `a check value of ten is never issued`() {
    for digit in 0...9 { #expect(NHSNumber("900000005\(digit)") == nil) }
    #expect(NHSNumber.checkDigit(of: [9, 0, 0, 0, 0, 0, 0, 0, 5]) == nil)
  }

  @Test func `ranges tell the issuer`() {
    #expect(NHSNumber("9000000009")?.range == .synthetic)
    #expect(NHSNumber("5839945242")?.range == .reserved)
    #expect(NHSNumber("4505577104")?.range == .england)
  }

  @Test(arguments: [
    "7D9625-Z72BF2-11E3AC", "E3E6FA-A83008-41F09Y", "0DA698-A83008-F50593", "23C1BC-Z75FB1-11EE84",
    "C0C3E6-A83008-93D8FL", "A1B2C3-A83008-0004F+",
  ])
  func `check characters of published identifiers are right`(text: String) throws {
    let id = try PrescriptionID(text)
    #expect(id.storeKey == String(text.dropLast()))
    #expect(PrescriptionID.storeKey(of: text) == id.storeKey)
    #expect(PrescriptionID.storeKey(of: id.storeKey) == id.storeKey)
  }

  @Test func `a wrong check character is told from a wrong form`() {
    #expect(throws: PrescriptionID.Failure.wrongCheckCharacter(expected: "V")) {
      try PrescriptionID("DD0180-ZBED5C-11E3A5")
    }
    for text in [
      "", "DD0180-ZBED5C", "DD018G-ZBED5C-11E3AV", "dd0180-zbed5c-11e3av", "DD0180-ZBED5C-11E3AV1",
    ] {
      #expect(throws: PrescriptionID.Failure.malformed) { try PrescriptionID(text) }
    }
  }

  @Test func `a UUID is a long-form identifier, with or without its check character`() throws {
    let body = "0A1FD9EF-A3D5-4E95-84CD-243078A03086"
    let check = try #require(PrescriptionID.checkCharacter(of: body))
    #expect(try PrescriptionID(body).storeKey == body)
    #expect(try PrescriptionID(body + String(check)).storeKey == body)
    #expect(throws: PrescriptionID.Failure.self) { try PrescriptionID(body.lowercased()) }
  }

  @Test func `derived message identifiers are UUIDs and follow from their parts`() {
    let id = MessageID(derivedFrom: "a", "b")
    #expect(MessageID(id.text) == id)
    #expect(MessageID(derivedFrom: "a", "b") == id)
    #expect(MessageID(derivedFrom: "ab") != id)
  }

  @Test func `dates add days and months, and times read FHIR zones`() {
    #expect(CivilDate("20260831")?.adding(months: 6).text == "20270228")
    #expect(CivilDate("20240229")?.adding(months: 12).text == "20250228")
    #expect(CivilDate("20251231")?.adding(days: 1).text == "20260101")
    #expect(CivilDate("20260230") == nil)
    #expect(SpineTime(fhir: "2022-10-21T13:47:00+01:00")?.text == "20221021124700")
    #expect(SpineTime(fhir: "2021-06-04T23:59:59Z")?.text == "20210604235959")
    #expect(SpineTime(fhir: "2022-13-21") == nil)
    #expect(SpineTime(fhir: "yesterday") == nil)
    for seconds in [0, 86_399, 951_782_400, 1_772_366_400] {
      #expect(SpineTime(secondsSinceEpoch: seconds).secondsSinceEpoch == seconds)
    }
  }

  @Test func `SHA-256 agrees with FIPS 180-4`() {
    #expect(
      SHA256.hex(Array("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}
