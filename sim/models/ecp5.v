// Behaviour of the ECP5 blocks that the generator instantiates, and of those that Yosys infers and
// has no model of, in the modes that they use and no others: an instance with another parameter
// stops the simulation. Sources: the vendor's sysDSP and memory usage guides for ECP5, and the port
// and parameter lists in Yosys.

// 18 x 18 product: with input, pipeline and output registers on CLK0, three cycles; or with none.
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTA_CE = "CE0",
    parameter REG_INPUTA_RST = "RST0",
    parameter REG_INPUTB_CLK = "NONE", parameter REG_INPUTB_CE = "CE0",
    parameter REG_INPUTB_RST = "RST0",
    parameter REG_PIPELINE_CLK = "NONE", parameter REG_PIPELINE_CE = "CE0",
    parameter REG_PIPELINE_RST = "RST0",
    parameter REG_OUTPUT_CLK = "NONE", parameter REG_OUTPUT_CE = "CE0",
    parameter REG_OUTPUT_RST = "RST0",
    parameter RESETMODE = "SYNC", parameter GSR = "ENABLED"
) (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
    output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33,
    output P34, P35
);
    // One bit more than an operand has: both kinds of it are signed there.
    wire signed [18:0] a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6,
                            A5, A4, A3, A2, A1, A0};
    wire signed [18:0] b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6,
                            B5, B4, B3, B2, B1, B0};
    localparam REGISTERED = REG_INPUTA_CLK == "CLK0";
    reg signed [18:0] a_q = 0, b_q = 0;
    reg signed [35:0] pipeline = 0, p_q = 0;
    wire signed [35:0] product = a * b;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
            P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1,
            P0} = REGISTERED ? p_q : product;
    initial
        if ((REG_INPUTA_CLK != "CLK0" && REG_INPUTA_CLK != "NONE")
            || REG_INPUTB_CLK != REG_INPUTA_CLK || REG_PIPELINE_CLK != REG_INPUTA_CLK
            || REG_OUTPUT_CLK != REG_INPUTA_CLK || REG_INPUTA_CE != "CE0"
            || REG_INPUTB_CE != "CE0" || REG_PIPELINE_CE != "CE0" || REG_OUTPUT_CE != "CE0"
            || REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0"
            || REG_PIPELINE_RST != "RST0" || REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC")
            $fatal(1, "MULT18X18D: a mode that its model does not have");
    always @(posedge CLK0) begin
        if (SIGNEDA !== 1'b1 || SIGNEDB !== 1'b1 || SOURCEA !== 1'b0 || SOURCEB !== 1'b0)
            $fatal(1, "MULT18X18D: operands in registers must be signed and parallel");
        if (RST0) begin
            a_q <= 0; b_q <= 0; pipeline <= 0; p_q <= 0;
        end else if (CE0) begin
            a_q <= a; b_q <= b; pipeline <= a_q * b_q; p_q <= pipeline;
        end
    end
endmodule

// 18 kbit of memory: port A writes, port B reads, the word one cycle after its address, or two with
// the output register. Contents lie in bytes of 9 bits; words below 9 bits use the lower 8. Written
// in words of 36 bits (the vendor's PDPW16KD) it takes the upper half from port B's inputs, and a
// word of 36 bits is read at both ports, the lower half at A. Nothing else is read at port A, which
// is all the write mode is about. A word that is read in the cycle of its write comes out as all
// ones, and so does what port A would read, so that nobody comes to rely on them.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", parameter WRITEMODE_B = "NORMAL", parameter GSR = "ENABLED",
    parameter CLKAMUX = "CLKA", parameter CLKBMUX = "CLKB",
    parameter [319:0] INITVAL_00 = 320'b0, parameter [319:0] INITVAL_01 = 320'b0,
    parameter [319:0] INITVAL_02 = 320'b0, parameter [319:0] INITVAL_03 = 320'b0,
    parameter [319:0] INITVAL_04 = 320'b0, parameter [319:0] INITVAL_05 = 320'b0,
    parameter [319:0] INITVAL_06 = 320'b0, parameter [319:0] INITVAL_07 = 320'b0,
    parameter [319:0] INITVAL_08 = 320'b0, parameter [319:0] INITVAL_09 = 320'b0,
    parameter [319:0] INITVAL_0A = 320'b0, parameter [319:0] INITVAL_0B = 320'b0,
    parameter [319:0] INITVAL_0C = 320'b0, parameter [319:0] INITVAL_0D = 320'b0,
    parameter [319:0] INITVAL_0E = 320'b0, parameter [319:0] INITVAL_0F = 320'b0,
    parameter [319:0] INITVAL_10 = 320'b0, parameter [319:0] INITVAL_11 = 320'b0,
    parameter [319:0] INITVAL_12 = 320'b0, parameter [319:0] INITVAL_13 = 320'b0,
    parameter [319:0] INITVAL_14 = 320'b0, parameter [319:0] INITVAL_15 = 320'b0,
    parameter [319:0] INITVAL_16 = 320'b0, parameter [319:0] INITVAL_17 = 320'b0,
    parameter [319:0] INITVAL_18 = 320'b0, parameter [319:0] INITVAL_19 = 320'b0,
    parameter [319:0] INITVAL_1A = 320'b0, parameter [319:0] INITVAL_1B = 320'b0,
    parameter [319:0] INITVAL_1C = 320'b0, parameter [319:0] INITVAL_1D = 320'b0,
    parameter [319:0] INITVAL_1E = 320'b0, parameter [319:0] INITVAL_1F = 320'b0,
    parameter [319:0] INITVAL_20 = 320'b0, parameter [319:0] INITVAL_21 = 320'b0,
    parameter [319:0] INITVAL_22 = 320'b0, parameter [319:0] INITVAL_23 = 320'b0,
    parameter [319:0] INITVAL_24 = 320'b0, parameter [319:0] INITVAL_25 = 320'b0,
    parameter [319:0] INITVAL_26 = 320'b0, parameter [319:0] INITVAL_27 = 320'b0,
    parameter [319:0] INITVAL_28 = 320'b0, parameter [319:0] INITVAL_29 = 320'b0,
    parameter [319:0] INITVAL_2A = 320'b0, parameter [319:0] INITVAL_2B = 320'b0,
    parameter [319:0] INITVAL_2C = 320'b0, parameter [319:0] INITVAL_2D = 320'b0,
    parameter [319:0] INITVAL_2E = 320'b0, parameter [319:0] INITVAL_2F = 320'b0,
    parameter [319:0] INITVAL_30 = 320'b0, parameter [319:0] INITVAL_31 = 320'b0,
    parameter [319:0] INITVAL_32 = 320'b0, parameter [319:0] INITVAL_33 = 320'b0,
    parameter [319:0] INITVAL_34 = 320'b0, parameter [319:0] INITVAL_35 = 320'b0,
    parameter [319:0] INITVAL_36 = 320'b0, parameter [319:0] INITVAL_37 = 320'b0,
    parameter [319:0] INITVAL_38 = 320'b0, parameter [319:0] INITVAL_39 = 320'b0,
    parameter [319:0] INITVAL_3A = 320'b0, parameter [319:0] INITVAL_3B = 320'b0,
    parameter [319:0] INITVAL_3C = 320'b0, parameter [319:0] INITVAL_3D = 320'b0,
    parameter [319:0] INITVAL_3E = 320'b0, parameter [319:0] INITVAL_3F = 320'b0
) (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12,
    ADA13,
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12,
    DIA13, DIA14, DIA15, DIA16, DIA17,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12,
    ADB13,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12,
    DIB13, DIB14, DIB15, DIB16, DIB17,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12,
    DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12,
    DOB13, DOB14, DOB15, DOB16, DOB17
);
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3,
        ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3,
        ADB2, ADB1, ADB0};
    wire [35:0] di = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
        DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12,
        DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    localparam WIDE = DATA_WIDTH_A == 36;
    reg [8:0] bytes [0:2047];
    reg [35:0] word = 0, word_q = 0;
    wire [35:0] out = REGMODE_B == "OUTREG" ? word_q : word;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = WIDE ? out[35:18] : out[17:0];
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = WIDE ? out[17:0] : 18'h3FFFF;

    localparam [64*320-1:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00};
    integer k;
    initial begin
        if ((REGMODE_B != "OUTREG" && REGMODE_B != "NOREG")
            || (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
            || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || DATA_WIDTH_A != DATA_WIDTH_B
            || (DATA_WIDTH_A != 36 && DATA_WIDTH_A != 18 && DATA_WIDTH_A != 9
                && DATA_WIDTH_A != 4 && DATA_WIDTH_A != 2 && DATA_WIDTH_A != 1)
            || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
            || (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE"))
            $fatal(1, "DP16KD: a mode that its model does not have");
        for (k = 0; k < 2048; k = k + 1)
            bytes[k] = INIT[k / 2 * 20 + k % 2 * 9 +: 9];
    end

    wire chosen = ~(CSA0 | CSA1 | CSA2 | CSB0 | CSB1 | CSB2);
    // The byte of an address, and where its word begins in it.
    wire [10:0] write_byte = ada[13:3], read_byte = adb[13:3];
    wire [3:0] write_low = {1'b0, ada[2:0]}, read_low = {1'b0, adb[2:0]};
    // The lowest pins of the address enable the bytes of 18 and 36 bits.
    wire writes = CEA & WEA & chosen & (WIDE ? |ada[3:0] : DATA_WIDTH_A != 18 | (|ada[1:0]));
    wire [35:0] there = {bytes[{read_byte[10:2], 2'd3}], bytes[{read_byte[10:2], 2'd2}],
                         bytes[{read_byte[10:2], 2'd1}], bytes[{read_byte[10:2], 2'd0}]};
    wire meets = writes & (DATA_WIDTH_A == 36 ? write_byte[10:2] == read_byte[10:2]
                           : DATA_WIDTH_A == 18 ? write_byte[10:1] == read_byte[10:1]
                           : DATA_WIDTH_A == 9 ? write_byte == read_byte : ada == adb);
    reg [35:0] found;
    always @* begin
        case (DATA_WIDTH_B)
            36: found = there;
            18: found = {18'b0, read_byte[1] ? there[35:18] : there[17:0]};
            9: found = {27'b0, bytes[read_byte]};
            4: found = {32'b0, bytes[read_byte][read_low[2] * 4 +: 4]};
            2: found = {34'b0, bytes[read_byte][read_low[2:1] * 2 +: 2]};
            default: found = {35'b0, bytes[read_byte][read_low[2:0]]};
        endcase
    end
    always @(posedge CLKA) begin
        if (writes)
            case (DATA_WIDTH_A)
                36: for (k = 0; k < 4; k = k + 1)
                    if (ada[k]) bytes[{write_byte[10:2], k[1:0]}] <= di[9 * k +: 9];
                18: begin
                    if (ada[0]) bytes[{write_byte[10:1], 1'b0}] <= di[8:0];
                    if (ada[1]) bytes[{write_byte[10:1], 1'b1}] <= di[17:9];
                end
                9: bytes[write_byte] <= di[8:0];
                4: bytes[write_byte][write_low[2] * 4 +: 4] <= di[3:0];
                2: bytes[write_byte][write_low[2:1] * 2 +: 2] <= di[1:0];
                default: bytes[write_byte][write_low[2:0]] <= di[0];
            endcase
    end
    wire clear = RESETMODE == "ASYNC" & RSTB;
    always @(posedge CLKB, posedge clear) begin
        if (WEB !== 1'b0)
            $fatal(1, "DP16KD: port B must not write");
        if (RSTB) begin
            word <= 0; word_q <= 0;
        end else begin
            if (CEB & chosen)
                word <= meets ? 36'hFFFFFFFFF : found;
            if (OCEB)
                word_q <= word;
        end
    end
endmodule
