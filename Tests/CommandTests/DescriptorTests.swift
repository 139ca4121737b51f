import Foundation
import Testing

/// A parent may have closed standard descriptors: what is said must not end in files that are opened later.
@Test func messagesDoNotEndInDataWhereStandardErrorIsClosed() throws {
  let scratch = try ScratchFolder()
  let pipe =
    "read | decode | tee ( emit fields=[key, width] path=\"\(scratch.path)/o\" on-error=skip ) | emit fields=[key]"
  try pipe.write(toFile: scratch.path + "/a.pipe", atomically: true, encoding: .utf8)
  let script = """
    mkdir $OUT/d; echo no picture > $OUT/d/a.jpg; cp Tests/Fixtures/images/wide-200x99.jpg $OUT/d/b.jpg
    tar -C $OUT/d -cf $OUT/in.tar a.jpg b.jpg
    """
  #expect(try Command.shell(script, scratch: scratch.path).status == 0)
  #expect(try Command.shell("$TOOL run $OUT/a.pipe < $OUT/in.tar > $OUT/a 2>&-", scratch: scratch.path).status == 1)
  #expect(try scratch.lines("o") == [#"{"key":"b","width":200}"#])
  let closed = try Command.shell("$TOOL run $OUT/a.pipe < $OUT/in.tar >&-", scratch: scratch.path)
  #expect(closed.status == 66 && closed.errors.contains("standard output: Bad file descriptor"), "\(closed.errors)")
}
